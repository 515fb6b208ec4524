# SPDX-License-Identifier: Apache-2.0
"""Validation at the end of the horizon, against golden runs trained by hand."""

import dataclasses

import pytest

from tests.campaign_runs import SMALL, small_plan, train_small
from tpufi.campaign.workload.subject import WorkloadSubject
from tpufi.golden import GoldenFolder, open_golden
from tpufi.outcomes.outcome import IMMEDIATE, LOW_TEST_ACCURACY, MASKED, SHORT_TERM
from tpufi.outcomes.outcome_thresholds import read_thresholds

EXPERIMENTS = 24
DATA = "synthetic:800"  # Enough test examples for accuracies to differ.
# Nothing but the test accuracy tells.
BLIND = dataclasses.replace(
    read_thresholds(), sharp=0.0, excess=1e30, widths=0.0, test_drop=0.0
)


@pytest.fixture(scope="module")
def runner(tmp_path_factory):
    folder = tmp_path_factory.mktemp("validation")
    golden = train_small(folder / "golden", data=DATA)
    band = (train_small(folder / "other", data=DATA, seed=5),)
    plan = small_plan(golden, EXPERIMENTS, band=band, thresholds=BLIND, validation=True)
    return WorkloadSubject(plan).open()


@pytest.fixture(scope="module")
def accuracies(runner):
    """Test accuracy of the golden runs after 5 and 10 steps, from their checkpoints."""
    found = {}
    for path in (runner.plan.golden, *runner.plan.band):
        _, session = open_golden(path)
        for steps in (5, 10):
            state = GoldenFolder(path).load(SMALL, steps)
            found.setdefault(steps, []).append(session.evaluate(state)[1])
    return found


@pytest.mark.parametrize("steps", (5, 10))
def test_golden_runs_are_evaluated_after_as_many_steps(runner, accuracies, steps):
    folder = GoldenFolder(runner.plan.golden)
    state = folder.load(SMALL, steps)
    found = runner.follower._validator.validation(state, steps)
    assert list(found.golden) == accuracies[steps]
    assert found.faulty == accuracies[steps][0]


def test_a_run_with_a_fault_is_judged_by_its_test_accuracy(runner):
    outcomes = set()
    for number in range(EXPERIMENTS):
        row = runner.run(number)
        outcomes.add(row.outcome)
        if "identical" in row.outcome or row.nonfinite_step is not None:
            assert row.test_accuracy is None
            continue
        if row.outcome in (IMMEDIATE, SHORT_TERM):
            assert row.test_accuracy is None  # The validation loss is not finite.
            continue
        last = row.fault.step + runner.plan.horizon
        golden = [
            session.evaluate(_state(path, session, last))[1]
            for path, session in _sessions(runner)
        ]
        low = sum(golden) / len(golden) - row.test_accuracy > BLIND.test_drop
        assert row.outcome == (LOW_TEST_ACCURACY if low else MASKED)
    assert {LOW_TEST_ACCURACY, MASKED} <= outcomes


def _sessions(runner):
    for path in (runner.plan.golden, *runner.plan.band):
        _, session = open_golden(path)
        yield path, dataclasses.replace(session, program=runner.session.program)


def _state(path, session, steps):
    begin = max(n for n in (0, *GoldenFolder(path).checkpoints()) if n <= steps)
    state = session.initial_state()
    if begin:
        state = GoldenFolder(path).load(SMALL, begin)
    for number in range(begin, steps):
        state = session.step(state, number).state
    return state
