# SPDX-License-Identifier: Apache-2.0
"""Status, export and report of a journal that somebody forged: rows, or one line."""

import argparse
import pathlib
import shutil
import time

import pytest

from tests.forged_journals import forge, forgeries, make_journal
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.workload.recorded_plan import recorded_plan
from tpufi.cli import campaign_report
from tpufi.cli.campaign import COMMANDS
from tpufi.errors import InputError


@pytest.fixture(scope="module")
def journal(tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("journal")
    make_journal(folder)
    return folder


def run(command, folder: pathlib.Path, *more: str) -> None:
    parser = argparse.ArgumentParser()
    command.add_options(parser)
    command.action(parser.parse_args([str(folder), *more]))


def replay(folder: pathlib.Path) -> None:
    with Reader.open(folder) as journal:
        recorded_plan(journal)


@pytest.mark.parametrize("change", forgeries(), ids=lambda change: change[:60])
def test_a_forged_journal_is_used_or_refused_in_one_line(
    change, journal, tmp_path, capsys
):
    folder = shutil.copytree(journal, tmp_path / "c")
    assert forge(folder, change) or "experiment = -1" in change
    calls = [
        lambda: run(COMMANDS["status"], folder),
        lambda: run(COMMANDS["export"], folder, str(tmp_path / "rows.csv")),
        lambda: run(COMMANDS["export"], folder, str(tmp_path / "rows.parquet")),
        lambda: replay(folder),
    ]
    # Pictures take their time: those of a few.
    if "seconds" in change or "bit =" in change or "step = " in change:
        calls.append(lambda: run(campaign_report.COMMAND, folder))
    for call in calls:
        begun = time.monotonic()
        try:
            call()
        except InputError as error:
            message = str(error)
            assert len(message.splitlines()) == 1 and len(message) < 1000
            assert message.isprintable()
        assert time.monotonic() - begun < 30
    for line in capsys.readouterr().out.splitlines():
        assert line.isprintable()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            "UPDATE manifest SET value = '{' WHERE key = 'plan'",
            "journal.sqlite: damaged plan: Expecting property name .*; restore the",
        ),
        (
            "UPDATE experiment SET bit = 64 WHERE experiment = 7",
            "journal.sqlite: table experiment, row 7: impossible values; restore",
        ),
        (
            "UPDATE batch SET seconds = -1.0 WHERE id = 2",
            "journal.sqlite: table batch, row 2: impossible values; restore",
        ),
    ],
)
def test_what_is_wrong_with_it_is_told(change, message, journal, tmp_path):
    folder = shutil.copytree(journal, tmp_path / "c")
    assert forge(folder, change)
    with pytest.raises(InputError, match=message):
        replay(folder)
