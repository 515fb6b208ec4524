# SPDX-License-Identifier: Apache-2.0
"""Experiments with faults that have a moment: blocks, rows, ends, kills."""

import dataclasses
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.campaign_runs import (
    CONFIG,
    SmallRunnerOf,
    compiled_plan,
    count_of,
    kept_rows,
    known_workload,
    run_small,
    small_plan,
    train_small,
)
from tpufi.campaign.engine.replayed import replay_experiments
from tpufi.campaign.journal.schema import INCIDENTAL
from tpufi.campaign.workload.experiment import Experimenter
from tpufi.campaign.workload.subject import WorkloadSubject
from tpufi.descriptor import read_record
from tpufi.experiment.follow import Course
from tpufi.experiment.inject import NotActive, check_injected, injections_of
from tpufi.fault import Elements, Fault
from tpufi.faults.catalogue import any_fault_model
from tpufi.faults.plan import SamplingPlan, equally
from tpufi.training import Session, state_digest
from tpufi.training.blocks import Blocks
from tpufi.when import When

HORIZON = 20
FIRST = 2
SITE = "fc/forward/weight"
PATTERNS = ("fc/*", "conv1/forward/*")
WHENS = (
    When(rate=0.3, key=9),
    When(every=3),
    When(),
    When(steps=((1, 4), (9, 9))),
    When(between=(-0.05, 0.05)),
    When(rate=1e-9, key=2),
)


@pytest.fixture(scope="module")
def golden(tmp_path_factory) -> pathlib.Path:
    return train_small(tmp_path_factory.mktemp("when") / "golden", steps=32)


@pytest.fixture(scope="module")
def session() -> Session:
    known_workload()
    return CONFIG.session()


@pytest.fixture(scope="module")
def blocks(session) -> Blocks:
    return Blocks(session, 5)


@pytest.fixture(scope="module")
def opened(golden) -> Session:
    """The session of all campaigns, whose sites are the same."""
    return WorkloadSubject(plan_of(golden, When())).open().session


def plan_of(golden: pathlib.Path, when: When, experiments: int = 12, **changes):
    sampling = SamplingPlan(
        equally(
            [any_fault_model(n) for n in ("FLIP", "ZERO", "INPUT", "RANDOM_VALUE")]
        ),
        site_weights="sites",
        patterns=PATTERNS,
        epochs=(0, 0),
        steps=(1, 7),
        replicas=(0, 1),
        when=when,
    )
    fields = {"sampling": sampling, "horizon": HORIZON, "propagation": False, **changes}
    return small_plan(golden, experiments, **fields)


def fault_of(session: Session, when: When, **changes) -> Fault:
    table = session.program.table
    site = table[table.id_of(SITE)]
    fields = {
        "model": "given",
        "site": SITE,
        "dtype": site.dtype,
        "shape": site.shape,
        "replica": -1,
        "epoch": 0,
        "step": FIRST,
        "duration": when.length,
        "elements": Elements.run(3, 6),
        "operation": "flip",
        "keep": 0,
        "words": (1 << 22,),
        "when": when,
    }
    return Fault(**{**fields, **changes})


@pytest.mark.parametrize("when", WHENS, ids=str)
def test_armed_blocks_have_the_bits_of_single_armed_steps(session, blocks, when):
    fault = fault_of(session, when)
    table = session.program.table
    row = fault.descriptor(table, 1, FIRST)
    steps = range(18)
    state, singles = session.initial_state(), []
    for number in steps:
        result = session.step(state, number, row)
        state = result.state
        counts = [r.count for r in read_record(result.record)]
        singles.append((result.loss, result.accuracy, counts))
    other, found = session.initial_state(), []
    for begin in (0, 5, 10, 15):
        count = min(5, len(steps) - begin)
        block = blocks.run(other, begin, count, 0, row)
        other = block.state
        counts = [[r.count for r in read_record(one)] for one in block.records]
        found += zip(block.losses, block.accuracies, counts, strict=True)
    assert state_digest(state) == state_digest(other)
    assert found == singles
    times = injections_of(fault, table, session.program.replicas, FIRST, 16)
    for number, (_, _, (count,)) in enumerate(singles[FIRST:]):
        assert (count <= 6 * times[number]) if when.between else (
            count == 6 * times[number]
        )  # fmt: skip
    assert [counts for *_, counts in singles[:FIRST]] == [[0], [0]]


def test_all_armed_blocks_are_one_trace(session, blocks):
    before = session.program.traces
    for when in WHENS:
        row = fault_of(session, when).descriptor(session.program.table, 1, FIRST)
        blocks.run(session.initial_state(), 0, 3, 0, row)
    # A step and a block; a test of either alone traces one.
    assert session.program.traces - before <= 1


@pytest.mark.parametrize(
    "when",
    [
        When(rate=0.2),
        When(),
        pytest.param(When(every=4), marks=pytest.mark.slow),
        pytest.param(When(steps=((0, 3), (12, 14))), marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_experiments_come_out_as_with_single_steps(golden, opened, when):
    plan = plan_of(golden, when)
    runner, alone = Experimenter(plan, opened), Experimenter(plan, opened)
    alone.follower._blocks = None
    again = injected = 0
    for number in range(12):
        row, other = runner.run(number), alone.run(number)
        for field in dataclasses.fields(row):
            if field.name not in INCIDENTAL:
                pair = getattr(row, field.name), getattr(other, field.name)
                assert repr(pair[0]) == repr(pair[1]), field.name
        fault, program = runner.fault(number), opened.program
        first = runner.follower.first(fault)
        times = injections_of(fault, program.table, program.replicas, first, HORIZON)
        # Nothing is masked for good before the last step of an injection.
        if row.nonfinite_step is None:
            last = max((i for i, n in enumerate(times) if n), default=0)
            assert row.steps_run > last
            assert row.injected_steps == sum(n > 0 for n in times)
        if row.reconverged_step is not None:
            assert row.reconverged_step >= last
            again += 1
        injected += row.injected_steps
    assert injected > 12


def test_an_experiment_that_is_never_injected_says_so(golden, opened):
    row = Experimenter(plan_of(golden, When(rate=1e-9)), opened).run(0)
    assert (row.outcome, row.error) == ("masked (bit-identical to golden)", None)
    assert (row.injected_steps, row.steps_run) == (0, 1)
    assert row.diverged_step is row.reconverged_step is None
    assert row.fault.moment == "rate=1e-09"
    assert row.fault.duration == (1 << 31) - 1


def test_other_injections_than_the_drawn_ones_are_told(session):
    fault = fault_of(session, When(rate=0.5, key=4))
    record = np.zeros((1, 65), np.int64)
    record[0, 0] = 6
    assert check_injected(fault, record, 1) == 6
    for times in (0, 2):
        with pytest.raises(NotActive, match=f"6 of {6 * times} elements were injected"):
            check_injected(fault, record, times)
    values = fault_of(session, When(between=(0, 1)))
    assert check_injected(values, record, 2) == 6
    with pytest.raises(NotActive, match="6 of 0 elements"):
        check_injected(values, record, 0)


def test_the_update_is_of_one_replica(session):
    site = "fc/kernel/update/first_moment"
    table = session.program.table
    fault = fault_of(session, When(), site=site, shape=table[table.id_of(site)].shape)
    assert injections_of(fault, table, 2, FIRST, 3) == (1, 1, 1)
    assert injections_of(fault_of(session, When()), table, 2, FIRST, 3) == (2, 2, 2)


@pytest.mark.slow
def test_a_moment_in_a_compiled_program_is_compared_with_its_control(tmp_path):
    folder = train_small(tmp_path / "golden", compiled=True)
    plan = compiled_plan(folder, 8)
    sampling = dataclasses.replace(
        plan.sampling, durations=(1, 1), when=When(rate=0.4), steps=(1, 2)
    )
    plan = dataclasses.replace(plan, sampling=sampling, horizon=8)
    runner = WorkloadSubject(plan).open()
    rows = [runner.run(number) for number in range(8)]
    again = [runner.run(number) for number in range(8)]
    for row, other in zip(rows, again, strict=True):
        assert dataclasses.replace(row, wall_s=0.0) == dataclasses.replace(
            other, wall_s=0.0
        )
        assert row.error is None
    assert {row.injected_steps for row in rows} > {0} or len(rows) == 8
    assert sum(row.injected_steps for row in rows) > 4
    assert runner.session.program.traces <= 3


def test_a_course_is_the_same_twice(golden, opened):
    courses = []
    for _ in range(2):
        runner = Experimenter(plan_of(golden, When()), opened)
        course = Course()
        fault = fault_of(opened, When(rate=0.5, key=3))
        runner.follower.follow(fault, HORIZON, course)
        courses.append((course.faulty, course.state, course.injected_steps))
    assert repr(courses[0]) == repr(courses[1]) and courses[0][2] > 3


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 3])
def test_a_killed_campaign_goes_on_and_its_rows_replay(golden, tmp_path, workers):
    """Kill it twice; its rows are those of a run in one piece, with one worker."""
    plan = plan_of(golden, When(rate=0.2), 18)
    whole = tmp_path / "whole"
    subject = WorkloadSubject(plan)
    how = {"manifest": subject.manifest()}
    run_small(plan, whole, SmallRunnerOf(plan), 1, **how)
    killed = tmp_path / "killed"
    for _ in range(2):
        command = [sys.executable, "-m", "tests.when_campaign_test", str(golden)]
        process = subprocess.Popen([*command, str(killed), str(workers)])
        deadline = time.monotonic() + 200
        while count_of(killed) < 4 and time.monotonic() < deadline:
            time.sleep(0.2)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert count_of(killed) >= 1
    run_small(plan, killed, SmallRunnerOf(plan), workers, **how)
    assert kept_rows(killed) == kept_rows(whole)
    for replayed in replay_experiments(killed, [0, 7, 17], subject=subject):
        assert replayed.differences == ()
        assert any(line.startswith("when rate=0.2") for line in replayed.lines())


if __name__ == "__main__":
    known_workload()
    PLAN = plan_of(pathlib.Path(sys.argv[1]), When(rate=0.2), 18)
    run_small(
        PLAN,
        pathlib.Path(sys.argv[2]),
        SmallRunnerOf(PLAN),
        int(sys.argv[3]),
        manifest=WorkloadSubject(PLAN).manifest(),
    )
