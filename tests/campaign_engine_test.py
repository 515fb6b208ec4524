# SPDX-License-Identifier: Apache-2.0
"""Real campaigns on a small network: the same rows whoever runs them."""

import dataclasses

import numpy as np
import pytest

from tests.campaign_runs import (
    CONFIG,
    SmallRunnerOf,
    kept_rows,
    run_small,
    small_plan,
    train_small,
)
from tests.golden_lines import with_other_state
from tpufi.campaign.engine.replayed import replay_experiments
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.journal.writer import Writer
from tpufi.campaign.workload.gate import check_deterministic
from tpufi.campaign.workload.recorded_plan import recorded_plan
from tpufi.campaign.workload.subject import WorkloadSubject
from tpufi.errors import InputError
from tpufi.golden import GoldenFolder

EXPERIMENTS = 40


@pytest.fixture(scope="module")
def golden(tmp_path_factory):
    return train_small(tmp_path_factory.mktemp("golden"))


@pytest.fixture(scope="module")
def campaign(golden, tmp_path_factory):
    """A campaign of one worker, uninterrupted."""
    folder = tmp_path_factory.mktemp("campaign")
    plan = small_plan(golden, EXPERIMENTS)
    ended = run_small(plan, folder, SmallRunnerOf(plan))
    assert ended.reason == f"all {EXPERIMENTS} experiments are done"
    return folder


def test_a_campaign_has_a_row_for_every_experiment(campaign):
    with Reader.open(campaign) as journal:
        rows = list(journal.rows())
    assert [row.experiment for row in rows] == list(range(EXPERIMENTS))
    assert not any(row.error for row in rows)
    outcomes = {row.outcome for row in rows}
    assert "masked (bit-identical to golden)" in outcomes and len(outcomes) > 1
    for row in rows:
        assert len(row.losses) == row.steps_run >= 1
        assert (row.nonfinite_step is not None) == ("INF/NaN" in row.outcome)
        identical = "identical" in row.outcome
        assert identical == (row.diverged_step is None or bool(row.reconverged_step))
    print({o: sum(row.outcome == o for row in rows) for o in sorted(outcomes)})


@pytest.mark.slow
def test_three_workers_give_the_rows_of_one(golden, campaign, tmp_path):
    plan = small_plan(golden, EXPERIMENTS)
    run_small(plan, tmp_path, SmallRunnerOf(plan), workers=3)
    assert kept_rows(tmp_path) == kept_rows(campaign)


def test_any_row_comes_out_again_alone(golden, campaign):
    plan = small_plan(golden, EXPERIMENTS)
    runner = WorkloadSubject(plan).open()
    with Reader.open(campaign) as journal:
        # In no order of steps: every one is entered from wherever the walk is.
        for number in (31, 4, 17, 0, 39, 22, 9, 13, 28, 35):
            again, row = runner.run(number), journal.row(number)
            told = ("outcome", "steps_run", "state_digest", "diverged_step", "fault")
            for name in told:
                assert getattr(again, name) == getattr(row, name)
            assert repr(again.losses) == repr(row.losses)


def test_a_set_up_that_does_not_repeat_the_golden_run_is_refused(tmp_path):
    train_small(tmp_path)
    with_other_state(GoldenFolder(tmp_path), 1)
    experimenter = WorkloadSubject(small_plan(tmp_path), verify=False).open()
    with pytest.raises(InputError, match="step 1: the golden step gives another"):
        check_deterministic(experimenter)


def test_an_experiment_follows_a_replica_of_its_own(golden):
    assert CONFIG.replicas == 2
    runner = WorkloadSubject(small_plan(golden, EXPERIMENTS)).open()
    replicas = {runner.run(number).fault.replica for number in range(8)}
    assert replicas == {0, 1}


def test_an_experiment_of_a_journal_can_be_replayed(golden, tmp_path):
    plan = small_plan(golden, 3, band=(train_small(tmp_path / "other", seed=5),))
    session = WorkloadSubject(plan).session(["campaign.py"], "0")
    manifest = WorkloadSubject(plan).manifest()
    folder = tmp_path / "c"
    with Writer(folder, manifest, session) as journal:
        runner = WorkloadSubject(plan).open()
        journal.add([runner.run(number) for number in range(3)])
    (again,) = replay_experiments(folder, [1])
    assert again.differences == ()
    assert list(again.lines())[-1] == "identical to its row in the journal"
    row = dataclasses.replace(again.recorded, outcome="masked?", losses=())
    changed = dataclasses.replace(again, recorded=row)
    assert changed.differences == ("outcome", "losses")
    with pytest.raises(InputError, match="no experiment 3; it has 3"):
        list(replay_experiments(folder, [3]))
    with pytest.raises(InputError, match="is not the golden run of"):
        list(replay_experiments(folder, [1], tmp_path / "other"))


def test_a_recorded_plan_is_the_plan(golden, tmp_path):
    plan = small_plan(golden, 3)
    session = WorkloadSubject(plan).session(["campaign.py"], "0")
    with Writer(tmp_path, WorkloadSubject(plan).manifest(), session) as journal:
        found, deterministic = recorded_plan(journal)
    assert found.identity() == plan.identity() and deterministic == "yes"
    assert found.golden == plan.golden.absolute()


def test_the_spread_of_a_fault_is_what_numpy_finds(golden):
    runner = WorkloadSubject(small_plan(golden, EXPERIMENTS)).open()
    states = {}

    def kept(state, number, fault=None, step=runner.session.step):
        result = step(state, number, fault)
        states[fault is not None, number + 1] = result.state
        return result

    object.__setattr__(runner.session, "step", kept)
    rows = [runner.run(number) for number in range(12)]
    row = next(r for r in rows if r.spread and r.outcome == "masked")
    first = row.fault.epoch * 8 + row.fault.step
    injected = runner.run(row.experiment)
    assert injected.spread == row.spread and {s.after for s in row.spread} == {1, 2}
    right, wrong = states[False, first + 1], states[True, first + 1]
    for spread in (s for s in row.spread if s.after == 1):
        group = {"weights": "parameters"}.get(spread.part, spread.part)
        pairs = {
            name: (a.numpy(), getattr(wrong, group)[name].numpy())
            for name, a in getattr(right, group).items()
        }
        changed = {n: a.view("i4") != b.view("i4") for n, (a, b) in pairs.items()}
        assert spread.tensors == sum(c.any() for c in changed.values())
        assert spread.elements == sum(c.sum() for c in changed.values())
        assert spread.not_finite == 0
        a, b = (x.astype(float) for x in pairs[spread.tensor])
        relative = np.linalg.norm(b - a) / (np.linalg.norm(a) or 1.0)
        assert spread.relative == pytest.approx(relative, rel=1e-3)
    print(row.spread)
