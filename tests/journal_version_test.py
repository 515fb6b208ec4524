# SPDX-License-Identifier: Apache-2.0
"""A journal of a former version is read as it is, and goes on as one of today's.

`data/journal_version_4.sql` was written by tpufi with version 4: nine experiments in
two runnings, and an answer whose experiment a kill prevented. The one with version 5
made `journal_version_5.sql` of it, the one with version 6 `journal_version_6.sql`.
"""

import pathlib
import sqlite3

import pytest

from tests.campaign_rows import MANIFEST, SESSION, fake_row
from tpufi.campaign.journal import schema
from tpufi.campaign.journal.answers import measures_of, values_of_one
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.journal.writer import Writer
from tpufi.errors import InputError
from tpufi.experiment.propagation import Spread

DATA = pathlib.Path(__file__).parent / "data"
NUMBERS = (0, 1, 2, 3, 4, 5, 999, 1000, 2**62)
SPREAD = (Spread(1, "weights", 2, 30, 0, 0.125, "conv/kernel"),)
MEASURES = (("one", True), ("two", False))


@pytest.fixture
def before(tmp_path) -> pathlib.Path:
    """The file of a journal of version 4."""
    return made(tmp_path, 4)


@pytest.fixture(params=[4, 5, 6])
def former(request, tmp_path) -> pathlib.Path:
    """The file of a journal of a former version."""
    return made(tmp_path, request.param)


def made(folder: pathlib.Path, number: int) -> pathlib.Path:
    path = folder / "journal.sqlite"
    change(path, (DATA / f"journal_version_{number}.sql").read_text())
    return path


def change(path: pathlib.Path, script: str) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(script)
    connection.close()


def version(path: pathlib.Path) -> int:
    connection = sqlite3.connect(path)
    ((found,),) = connection.execute("PRAGMA user_version")
    connection.close()
    return found


def check_content(journal: Reader, sessions: int) -> None:
    for number in NUMBERS:
        expected = fake_row(number, wall_s=0.5, spread=SPREAD)
        assert journal.row(number) == expected
        value, nothing = values_of_one(journal, number)
        assert value == number / 4 and nothing != nothing
    assert [row.experiment for row in journal.rows()] == [*NUMBERS]
    assert measures_of(journal) == [(i, *m) for i, m in enumerate(MEASURES)]
    noted = journal.sessions()
    assert noted[:2] == [(SESSION, 1.5), (SESSION, 1.5)] and len(noted) == sessions
    assert journal.manifest()["plan"] == MANIFEST.plan


def test_it_is_read_and_left_as_it_is(former):
    content, number = former.read_bytes(), version(former)
    with Reader.open(former.parent) as journal:
        check_content(journal, 2)
    assert former.read_bytes() == content and version(former) == number


@pytest.mark.parametrize("number", [5, 6])
def test_a_changed_row_of_a_former_version_is_told(number, tmp_path):
    path = made(tmp_path, number)
    change(path, "UPDATE experiment SET outcome = 'marked' WHERE experiment = 4")
    with pytest.raises(InputError, match="damaged rows, batch 3: their digest is"):
        Reader.open(path.parent)
    assert version(path) == number


def test_a_writer_makes_it_one_of_this_version_and_goes_on(former):
    before = former
    new = fake_row(7, wall_s=0.5, spread=SPREAD, values=(0.5, 2.0))
    with Writer(before.parent, MANIFEST, SESSION, MEASURES) as journal:
        check_content(journal, 3)
        assert journal.add([new, fake_row(5, attempt=2)]) == 1
    assert version(before) == schema.VERSION
    with Reader.open(before.parent) as journal:
        assert values_of_one(journal, 7) == [0.5, 2.0]
        assert journal.row(7).spread == SPREAD and journal.count() == 10


@pytest.mark.parametrize("writable", [False, True])
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("UPDATE experiment SET outcome = 'marked' WHERE experiment = 4",
         "damaged row, experiment 4 of table experiment: its checksum is another; "
         "restore the file from a copy, or open it with the tpufi that wrote it"),
        ("UPDATE session SET seconds = 9e9", "damaged row, id 1 of table session: "),
        ("CREATE VIEW more AS SELECT 1", "its tables are not those of a journal"),
    ],
)  # fmt: skip
def test_a_damaged_one_is_told_and_left_as_it_is(damage, message, writable, before):
    change(before, damage)
    content = before.read_bytes()
    with pytest.raises(InputError, match=message):
        if writable:
            Writer(before.parent, MANIFEST, SESSION, MEASURES)
        else:
            Reader.open(before.parent)
    assert version(before) == 4 and before.read_bytes() == content


def test_one_that_was_never_begun_is_begun(before):
    tables = ("experiment", "propagation", "answer", "measure", "manifest", "session")
    change(before, "".join(f"DELETE FROM {table};" for table in tables))
    with Writer(before.parent, MANIFEST, SESSION) as journal:
        assert journal.add([fake_row(3)]) == 1
    with Reader.open(before.parent) as journal:
        assert journal.count() == 1 and len(journal.sessions()) == 1
