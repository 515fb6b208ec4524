# SPDX-License-Identifier: Apache-2.0
"""An experiment of an inference campaign done again, alone."""

import sqlite3

import pytest

from tests.inference_files import run_here, subject_here, write_files
from tpufi.campaign.engine.replayed import replay_experiments
from tpufi.campaign.journal import schema
from tpufi.campaign.journal.database import NAME
from tpufi.campaign.journal.integrity import digests
from tpufi.errors import InputError


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inference")
    plan = write_files(folder)
    run_here(plan, folder / "out")
    return plan, folder / "out"


def replayed(plan, out, *numbers):
    subject = subject_here(plan)
    # The process of a test has been set up.
    object.__setattr__(subject, "open", subject.opened)
    return [
        (not again.differences, list(again.lines()))
        for again in replay_experiments(out, numbers, subject=subject)
    ]


def test_any_experiment_comes_out_again_in_any_order(campaign):
    results = replayed(*campaign, 149, 3, 77, 3)
    assert [same for same, _ in results] == [True] * 4
    first, again = results[1][1], results[3][1]
    assert first == again
    assert first[0].startswith("experiment 3: input ")
    assert first[-1] == "identical to its row in the journal"
    assert any(line.startswith("  top_5: ") for line in first)


def test_what_came_out_otherwise_is_named(campaign, tmp_path):
    plan, out = campaign
    with sqlite3.connect(out / NAME) as old, sqlite3.connect(tmp_path / NAME) as new:
        old.backup(new)
        new.execute(
            "UPDATE experiment SET state_digest = 'another' WHERE experiment = 5"
        )
        present = {name for (name,) in new.execute("SELECT name FROM sqlite_schema")}
        tables = [t for t in schema.definitions() if t in present - {"batch"}]
        new.executemany(
            "UPDATE batch SET digest = ? WHERE id = ?",
            [(digest, number) for number, digest in digests(new, tables).items()],
        )
    ((same, lines),) = replayed(plan, tmp_path, 5)
    assert not same
    assert lines[-1].startswith("differs: state_digest '")
    assert lines[-1].endswith("in the journal 'another'")


def test_a_campaign_of_another_plan_is_refused(campaign):
    plan, out = campaign
    changed = plan.with_name("changed.yaml")
    changed.write_text(plan.read_text().replace("seed: 3", "seed: 4"))
    with pytest.raises(InputError, match="seed"):
        replayed(changed, out, 0)


def test_an_experiment_that_is_not_there_is_one_line(campaign):
    with pytest.raises(InputError, match="no experiment 150; it has 150"):
        replayed(*campaign, 150)
