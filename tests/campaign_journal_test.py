# SPDX-License-Identifier: Apache-2.0
"""The journal: rows come back, once each; what is wrong with a file is one line."""

import dataclasses
import itertools
import math
import os
import pathlib
import sqlite3
import subprocess
import sys
import threading

import pytest

from tests.campaign_rows import MANIFEST, SESSION, fake_row
from tpufi.campaign.journal import database, schema
from tpufi.campaign.journal.manifest import Manifest
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.journal.writer import Writer
from tpufi.errors import InputError


def written(
    folder: pathlib.Path, numbers, manifest: Manifest = MANIFEST
) -> pathlib.Path:
    with Writer(folder, manifest, SESSION) as journal:
        journal.add([fake_row(number, wall_s=0.5) for number in numbers])
    return folder / database.NAME


def numbers(folder: pathlib.Path) -> list[int]:
    with Reader.open(folder) as journal:
        return [row.experiment for row in journal.rows()]


def refused(call, *arguments) -> str:
    with pytest.raises(InputError) as error:
        call(*arguments).close()
    assert "\n" not in str(error.value)
    return str(error.value)


def test_rows_come_back_as_they_were(tmp_path):
    rows = [fake_row(n) for n in (3, 1, 2**62)]
    odd = math.nan, -0.0
    rows.append(
        dataclasses.replace(rows[0], experiment=9, losses=(odd,), error="\x00é")
    )
    with Writer(tmp_path, MANIFEST, SESSION) as journal:
        assert journal.add(rows) == 4
    with Reader.open(tmp_path) as journal:
        found = list(journal.rows())
        assert found[:2] == [rows[1], rows[0]] and found[3] == rows[2]
        assert found[2].error == "\x00é"
        assert math.isnan(found[2].losses[0][0])
        assert math.copysign(1, found[2].losses[0][1]) == -1
        assert journal.row(1) == rows[1]
        assert "no experiment 2; it has 4" in refused(journal.row, 2)


def test_the_columns_are_the_fields_of_a_row_and_its_fault(tmp_path):
    path = written(tmp_path, [0])
    info = sqlite3.connect(path).execute("PRAGMA table_info(experiment)").fetchall()
    assert tuple(entry[1] for entry in info) == (*schema.COLUMNS, "batch")


def test_an_experiment_that_comes_again_is_counted_once(tmp_path):
    with Writer(tmp_path, MANIFEST, SESSION) as journal:
        assert journal.add([fake_row(1), fake_row(2)]) == 2
        assert journal.add([fake_row(2, attempt=2), fake_row(3), fake_row(3)]) == 1
        assert journal.count() == 3
        assert journal.row(2).attempt == 1


def test_an_experiment_that_comes_out_differently_stops_the_campaign(tmp_path):
    with Writer(tmp_path, MANIFEST, SESSION) as journal:
        journal.add([fake_row(1)])
        message = refused(journal.add, [fake_row(2), fake_row(1, state_digest="other")])
        assert "experiment 1 came out twice, with state_digest" in message
        assert "not deterministic" in message
        # Nothing of the batch is there, and the journal goes on.
        assert journal.add([fake_row(2)]) == 1 and journal.count() == 2


@pytest.mark.parametrize("change", [{"outcome": None}, {"experiment": -1}])
def test_a_defect_in_a_row_leaves_the_journal_as_it_was(change, tmp_path):
    with Writer(tmp_path, MANIFEST, SESSION) as journal:
        journal.add([fake_row(0)])
        wrong = dataclasses.replace(fake_row(5), **change)
        with pytest.raises(sqlite3.IntegrityError):
            journal.add([fake_row(1), wrong])
        assert journal.count() == 1


@pytest.mark.parametrize(
    ("done", "missing"),
    [
        ([], [range(0, 10)]),
        (range(10), []),
        ([0, 1, 5, 9], [range(2, 5), range(6, 9)]),
        ([3, 12, 11], [range(0, 3), range(4, 10)]),
    ],
)
def test_missing_experiments_are_told_as_ranges(done, missing, tmp_path):
    written(tmp_path, done)
    with Reader.open(tmp_path) as journal:
        assert list(journal.missing(10)) == missing


def test_tallies_are_the_counts_of_the_rows(tmp_path):
    written(tmp_path, range(300))
    rows = [fake_row(n) for n in range(300)]
    with Reader.open(tmp_path) as journal:
        expected: dict = {}
        for row in rows:
            key = (row.fault.model, row.fault.bit, row.outcome)
            expected[key] = expected.get(key, 0) + 1
        assert journal.tally(("model", "bit")) == expected
        masked = sum(row.outcome == "masked" for row in rows)
        assert journal.tally(())[("masked",)] == masked
        assert journal.tally((), outcome=False) == {(): 300}
        assert "no column 'place'; known: experiment, model," in refused(
            journal.tally, ("place",)
        )


def test_every_running_is_noted_with_its_seconds(tmp_path):
    for first in (0, 5):
        written(tmp_path, range(first, first + 5))
    with Reader.open(tmp_path) as journal:
        assert journal.manifest() == dataclasses.asdict(MANIFEST)
        assert [entries for entries, _ in journal.sessions()] == [SESSION] * 2
        assert all(seconds >= 0 for _, seconds in journal.sessions())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"golden": "h"}, "another golden: 'g', now 'h'; restore it"),
        ({"tensorflow": "2.20.0"}, "another tensorflow: '2.19.1', now '2.20.0'"),
        ({"deterministic": "no"}, "another deterministic: 'yes', now 'no'"),
        (
            {"plan": '{"seed":8,"horizon":2}'},
            "another plan: seed '7', now seed '8'; restore it",
        ),
    ],
)
def test_a_campaign_with_another_manifest_adds_nothing(change, message, tmp_path):
    written(tmp_path, range(3))
    other = dataclasses.replace(MANIFEST, **change)
    assert message in refused(Writer, tmp_path, other, SESSION)
    assert numbers(tmp_path) == [0, 1, 2]


def test_a_second_writer_is_refused_with_the_process_of_the_first(tmp_path):
    with Writer(tmp_path, MANIFEST, SESSION) as journal:
        message = refused(Writer, tmp_path, MANIFEST, SESSION)
        assert f"process {os.getpid()} is writing this campaign" in message
        command = (
            "import fcntl, sys; fcntl.flock(open(sys.argv[1]), fcntl.LOCK_EX | "
            "fcntl.LOCK_NB)"
        )
        other = subprocess.run(
            [sys.executable, "-c", command, tmp_path / "journal.lock"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert "BlockingIOError" in other.stderr
        assert journal.add([fake_row(0)]) == 1
    with Writer(tmp_path, MANIFEST, SESSION) as journal:
        assert journal.count() == 1


def test_a_forked_worker_does_not_keep_the_next_writer_out(tmp_path):
    reading, writing = os.pipe()
    journal = Writer(tmp_path, MANIFEST, SESSION)
    child = os.fork()
    if not child:
        os.close(writing)
        os.read(reading, 1)  # Until the parent is done.
        os._exit(0)
    journal.close()
    written(tmp_path, range(3))
    os.close(writing)
    os.waitpid(child, 0)
    os.close(reading)
    assert numbers(tmp_path) == [0, 1, 2]


def test_readers_see_whole_batches_while_it_is_written(tmp_path):
    with Writer(tmp_path, MANIFEST, SESSION) as journal:
        for first in range(0, 50, 10):
            journal.add([fake_row(n) for n in range(first, first + 10)])
            assert numbers(tmp_path) == list(range(first + 10))


def test_readers_find_nothing_wrong_while_it_is_written(tmp_path):
    """A check reads several tables, and commits come in between."""
    written(tmp_path, range(2000))
    end = threading.Event()

    def write() -> None:
        with Writer(tmp_path, MANIFEST, SESSION) as journal:
            for number in itertools.count(2000):
                journal.add([fake_row(number)])
                if end.is_set():
                    return

    writing = threading.Thread(target=write)
    writing.start()
    try:
        counts = {len(numbers(tmp_path)) for _ in range(20)}
    finally:
        end.set()
        writing.join()
    assert len(counts) > 3


def foreign(path):
    path.write_bytes(b"not a database, but long enough to be read as one" * 50)


def other_program(path):
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE mine (x)")


def other_version(path):
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 2")


def truncated(path):
    os.truncate(path, path.stat().st_size // 2 + 7)


def overwritten(path):
    with open(path, "r+b") as file:
        file.seek(path.stat().st_size // 2 // 4096 * 4096)
        file.write(os.urandom(4096))


def folder_instead(path):
    path.unlink(missing_ok=True)
    path.mkdir()


BROKEN = [
    (foreign, "is no journal of a campaign; name another folder"),
    (other_program, "is a database of another program; name another folder"),
    (other_version, "journal of version 2, this tpufi reads 4 to 7; use the"),
    (truncated, "is damaged; keep a copy of the folder, then recover"),
    (overwritten, "is damaged; keep a copy of the folder, then recover"),
    (folder_instead, "cannot open it; make the file and its folder readable"),
]


@pytest.mark.parametrize(
    ("damage", "message"), BROKEN, ids=lambda x: x.__name__ if callable(x) else ""
)
def test_a_broken_file_is_told_in_one_line_and_left_alone(damage, message, tmp_path):
    path = tmp_path / database.NAME
    if damage is not other_program:
        written(tmp_path, range(2000))
    damage(path)
    before = path.read_bytes() if path.is_file() else None
    told = refused(Writer, tmp_path, MANIFEST, SESSION)
    assert message in told and database.NAME in told
    assert (path.read_bytes() if path.is_file() else None) == before


def test_a_truncated_file_is_told_to_a_reader_too(tmp_path):
    truncated(written(tmp_path, range(2000)))
    with pytest.raises(InputError, match="is damaged; keep a copy"):
        numbers(tmp_path)


def test_a_folder_without_a_journal_is_told(tmp_path):
    assert "there is no journal; name the folder" in refused(Reader.open, tmp_path)
    (tmp_path / "file").write_text("")
    message = refused(Writer, tmp_path / "file" / "x", MANIFEST, SESSION)
    assert "cannot make the folder" in message


def test_an_empty_file_left_by_a_kill_becomes_a_journal(tmp_path):
    (tmp_path / database.NAME).touch()
    assert "is empty: the campaign was never begun" in refused(Reader.open, tmp_path)
    written(tmp_path, range(3))
    assert numbers(tmp_path) == [0, 1, 2]
