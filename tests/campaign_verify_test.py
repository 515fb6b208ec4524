# SPDX-License-Identifier: Apache-2.0
"""Random rows of campaigns are done again, and one that differs is named."""

import collections
import dataclasses
import pathlib

import pytest

from tests.campaign_rows import MANIFEST, SESSION, fake_row
from tests.campaign_runs import small_plan, train_small
from tpufi.campaign.engine.unplanned import CRASHED
from tpufi.campaign.engine.verified import drawn_rows
from tpufi.campaign.journal.writer import Writer
from tpufi.campaign.workload.subject import WorkloadSubject
from tpufi.cli.campaign_verify import COMMAND
from tpufi.errors import InputError

EXPERIMENTS = 5
WRONG = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
    """Return a campaign with one row that was changed."""
    home = tmp_path_factory.mktemp("verify")
    plan = small_plan(train_small(home / "golden"), EXPERIMENTS, propagation=False)
    subject = WorkloadSubject(plan)
    runner = subject.open()
    rows = [runner.run(number) for number in range(EXPERIMENTS)]
    rows[WRONG] = dataclasses.replace(rows[WRONG], state_digest="0" * 16)
    written = subject.manifest(), subject.session(["campaign.py"], "0")
    with Writer(home / "campaign", *written) as journal:
        journal.add(rows)
    return home / "campaign"


def test_a_row_that_differs_is_named(folder, capsys):
    assert COMMAND.main([str(folder), "--rows", "20"]) == 1
    *rows, last = capsys.readouterr().out.splitlines()
    assert last == "4 of 5 rows agree bit for bit, drawn by seed 0"
    wrong = [row for row in rows if not row.endswith("; identical")]
    assert len(rows) == EXPERIMENTS and len(wrong) == 1
    assert wrong[0].startswith(f"campaign {WRONG}: ")
    assert wrong[0].endswith("differs: state_digest")


def test_rows_are_drawn_from_all_campaigns_alike_and_none_twice(tmp_path):
    folders = [tmp_path / "a", tmp_path / "b"]
    for place, own in enumerate(folders):
        rows = [fake_row(number) for number in range(20 + 20 * place)]
        crashed = dataclasses.replace(fake_row(77), outcome=CRASHED, error="gone")
        with Writer(own, MANIFEST, SESSION) as journal:
            journal.add([*rows, crashed])
    counts = collections.Counter()
    for seed in range(300):
        drawn = drawn_rows(folders, 6, seed)
        assert sum(map(len, drawn.values())) == 6
        for own, numbers in drawn.items():
            assert len({*numbers}) == len(numbers) and 77 not in numbers
            counts[own.name] += len(numbers)
    assert counts["a"] + counts["b"] == 1800
    assert abs(counts["a"] - 600) < 5 * (1800 * 2 / 9) ** 0.5
    assert drawn_rows(folders, 6, 7) == drawn_rows(folders, 6, 7)
    whole = drawn_rows(folders, 1000, 0)
    assert [len(whole[own]) for own in folders] == [20, 40]


def test_a_campaign_without_rows_is_refused(tmp_path):
    with Writer(tmp_path, MANIFEST, SESSION):
        pass
    with pytest.raises(InputError, match="no experiments yet; run the campaign first"):
        drawn_rows([tmp_path], 3, 0)
