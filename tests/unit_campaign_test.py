# SPDX-License-Identifier: Apache-2.0
"""Experiments with broken units: bits, early ends, rows, kills, replays."""

import dataclasses
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.campaign_runs import (
    SmallRunnerOf,
    count_of,
    kept_rows,
    known_workload,
    run_small,
    small_plan,
    train_small,
)
from tests.cli_test import one_line, run_tool
from tpufi.campaign.engine.replayed import replay_experiments
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.journal.schema import INCIDENTAL
from tpufi.campaign.journal.writer import Writer
from tpufi.campaign.report.options import Options
from tpufi.campaign.report.write import write_report
from tpufi.campaign.status_table import status_lines
from tpufi.campaign.workload.experiment import Experimenter
from tpufi.campaign.workload.gate import check_deterministic
from tpufi.campaign.workload.golden_scores import golden_scores
from tpufi.campaign.workload.recovered import MEASURES
from tpufi.campaign.workload.subject import WorkloadSubject
from tpufi.cli import WRONG_INPUT
from tpufi.cli.replay import COMMAND
from tpufi.detect.recovery import IDENTICAL
from tpufi.errors import InputError
from tpufi.experiment.follow import Course
from tpufi.experiment.inject import NotActive, check_injected, injections_of
from tpufi.experiment.replay_unit import replay_unit
from tpufi.faults.broken_unit import BrokenUnit
from tpufi.faults.plan import SamplingPlan, equally
from tpufi.faults.unit_line import parse_broken_unit
from tpufi.faults.unit_model import UnitModel
from tpufi.layers.unit_context import operations_of
from tpufi.outcomes.outcome_thresholds import read_thresholds
from tpufi.training import Session, state_digest
from tpufi.units import (
    Link,
    MemoryAddress,
    ProcessingElement,
    SavedActivation,
    UnitFault,
    VectorLane,
)
from tpufi.when import ALWAYS, When

HORIZON, EXPERIMENTS = 20, 18
PATIENT = {"timeout": 3600, "start_timeout": 3600}
ELEMENT = ProcessingElement(8, 8, "output", "output")
LIMITS = read_thresholds()
# Three programs: a few seconds of tracing each.
FEW = (
    UnitModel(ELEMENT, bits=(0, 30), when=When(rate=0.02)),
    UnitModel(ELEMENT, operations=("stuck_1",), bits=(20, 24)),
    UnitModel(Link("corrupted", 0, 8), when=When(rate=0.1)),
    UnitModel(Link("stale", 0, 8), when=When(rate=0.3)),
)
KILLED = FEW[:1] + FEW[3:]


@pytest.fixture(scope="module")
def golden(tmp_path_factory) -> pathlib.Path:
    return train_small(tmp_path_factory.mktemp("units") / "golden", steps=60)


def plan_of(golden: pathlib.Path, models=FEW, experiments=EXPERIMENTS, **changes):
    sampling = SamplingPlan(
        equally(models), epochs=(0, 0), steps=(1, 7), replicas=(0, 1)
    )
    fields = {"sampling": sampling, "horizon": HORIZON, "propagation": False, **changes}
    return small_plan(golden, experiments, **fields)


@pytest.fixture(scope="module")
def opened(golden) -> Session:
    return WorkloadSubject(plan_of(golden)).open().session


def broken(unit, when: When = ALWAYS, **changes) -> BrokenUnit:
    fault = UnitFault.stuck(unit, 27, 1, replica=1, when=when)
    fields = {"model": "given", "site": "given", "epoch": 0, "step": 2, "fault": fault}
    return BrokenUnit(**{**fields, **changes})


def as_told(row) -> list[tuple]:
    names = [f.name for f in dataclasses.fields(row) if f.name not in INCIDENTAL]
    return [(name, repr(getattr(row, name))) for name in names]


def test_experiments_come_out_as_with_single_steps_and_end_late_enough(golden, opened):
    plan = plan_of(golden)
    runner, alone = Experimenter(plan, opened), Experimenter(plan, opened)
    alone.follower._blocks = None
    kinds = set()
    for number in range(EXPERIMENTS):
        row, other = runner.run(number), alone.run(number)
        assert as_told(row) == as_told(other)
        fault, program = runner.fault(number), opened.program
        first = runner.follower.first(fault)
        times = injections_of(fault, program.table, program.replicas, first, HORIZON)
        last = max((i for i, n in enumerate(times) if n), default=0)
        # Nothing is masked for good before the last step that can inject.
        if row.nonfinite_step is None:
            assert row.steps_run > last
            assert row.injected_steps <= sum(n > 0 for n in times)
        if row.reconverged_step is not None:
            assert row.reconverged_step >= last
        kinds.add((row.fault.model, row.injected_steps > 1))
    assert len(kinds) >= len(FEW)


def test_a_row_describes_the_whole_unit(golden, opened):
    runner = Experimenter(plan_of(golden), opened)
    for number in range(EXPERIMENTS):
        drawn = runner.fault(number)
        columns = runner.run(number).fault
        unit = drawn.fault.unit
        place = f"@{unit.row},{unit.column}" if unit.place[1:] and (
            isinstance(unit, ProcessingElement)
        ) else f"@{unit.place[0]}/8"  # fmt: skip
        assert columns.site.endswith(place)
        assert columns.model.startswith(columns.site.partition("@")[0])
        assert columns.model.endswith(columns.moment)
        assert columns.op == type(unit).__name__
        assert (columns.bit, columns.operation) == (drawn.bit, drawn.operation)
        assert columns.replica == drawn.replica and columns.count == 1


def test_a_line_replays_the_steps_of_its_experiment(golden, opened):
    runner = Experimenter(plan_of(golden), opened)
    stale = next(n for n in range(EXPERIMENTS) if runner.fault(n).stale)
    for number in {0, 1, 2, stale}:
        row, line = runner.run(number), runner.fault(number).line()
        how = {"horizon": HORIZON, "session": opened}
        found = replay_unit(parse_broken_unit(line), golden, LIMITS, **how)
        losses = [point.loss for point in found.faulty]
        assert losses[: row.steps_run] == [loss for loss, _ in row.losses]
        assert found.outcome == row.outcome
        assert sum(passed > 0 for passed, _ in found.records) == row.injected_steps
        told = list(found.lines())
        assert told[0].startswith(row.fault.site) and row.outcome in told[-1]
    absent = dataclasses.replace(broken(ELEMENT).fault, replica=9)
    how = {"horizon": 2, "session": opened}
    for fault, message in (
        (broken(ELEMENT, fault=absent), "replica 9: the golden run has replicas 0 to"),
        (broken(Link("stale"), step=0), "stale link in step 0 .* has no step before"),
    ):
        with pytest.raises(InputError, match=message):
            replay_unit(fault, golden, LIMITS, **how)


def test_the_command_prints_the_replay_of_a_line(golden, opened, capsys):
    fault = broken(Link("corrupted", 1, 8))
    found = replay_unit(fault, golden, LIMITS, horizon=3, session=opened)
    given = ["--unit", fault.line(), "--golden", str(golden), "--horizon", "3"]
    assert COMMAND.main(given) == 0
    *table, thresholds = capsys.readouterr().out.splitlines()
    assert table == list(found.lines())
    assert table[0] == "link:corrupted@1/8, stuck_1"
    assert [line.split()[0] for line in table[-4:-1]] == ["2", "3", "4"]
    assert table[-1] == f"outcome: {found.outcome}"
    assert thresholds == f"thresholds: {LIMITS}"
    # The options move the unit, as they move an injection.
    assert COMMAND.main([*given, "--step", "5"]) == 0
    assert "\n   5 " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{", "", "expected one JSON object with the keys model, unit,"),
        ("link:corrupted@1/8", "link:late@1/8", "error 'late' is unknown; choose"),
        ("link:corrupted@1/8", "memory:fc/kernal@3", "no 'fc/kernal' here; nearest"),
        ("link:corrupted@1/8", "saved:conv9@0", "no 'conv9' here; nearest"),
        ("link:corrupted@1/8", "memory:fc/kernel@99", "lies outside fc/kernel of 80"),
        ('"replica":1', '"replica":9', "replica 9: the golden run has replicas 0 to"),
        ('"step":2', '"step":60', "an epoch of synthetic:64 has steps 0 to 7"),
    ],
)
def test_the_command_tells_a_line_that_cannot_be_replayed_in_one(
    golden, old, new, message, capsys
):
    line = broken(Link("corrupted", 1, 8)).line()
    assert old in line
    given = "--unit", line.replace(old, new, 1), "--golden", golden
    assert run_tool(COMMAND, *given) == WRONG_INPUT
    assert message in one_line(capsys)


def test_the_gate_runs_the_program_of_each_kind_of_unit_once(golden, opened):
    session, given, other = dataclasses.replace(opened), [], ()

    def step(state, number, fault=None):
        given.append(fault)
        found = opened.step(state, number, fault)
        return dataclasses.replace(found, state=state) if fault in other else found

    object.__setattr__(session, "step", step)
    runner = Experimenter(plan_of(golden), session)
    check_deterministic(runner)
    units = [fault.unit for fault in given if fault is not None]
    # Two of the four models have one kind, and so one program.
    assert units == [ELEMENT, Link("corrupted"), Link("stale")]
    other = runner.units[2:]
    with pytest.raises(InputError, match="a fault at link:stale that changes no bit"):
        check_deterministic(runner)


def test_a_stale_link_begins_with_the_message_of_the_step_before(golden, opened):
    fault, course = broken(Link("stale", 1, 3)), Course()
    Experimenter(plan_of(golden), opened).follower.follow(fault, 4, course)
    unit = fault.descriptor(opened.program.table, first=2)
    state = opened.step(opened.initial_state(), 0).state
    state = opened.step(state, 1, unit.whole).state
    for number in range(2, 6):
        state = opened.step(state, number, unit).state
    assert course.state == state_digest(state) != ""
    assert (course.diverged, course.injected_steps) == (0, 4)


def test_a_unit_that_is_never_broken_is_masked(golden, opened):
    models = (UnitModel(ELEMENT, when=When(rate=1e-9)),)
    row = Experimenter(plan_of(golden, models), opened).run(0)
    assert row.outcome == "masked (bit-identical to golden)"
    assert (row.injected_steps, row.steps_run) == (0, 1)


def test_another_moment_than_the_drawn_one_is_told():
    fault = broken(ELEMENT)
    assert check_injected(fault, np.array([12, 3])) == 12
    assert check_injected(fault, np.array([0, 0])) == 0  # It has no part in the step.
    with pytest.raises(NotActive, match="12 values passed through the broken unit"):
        check_injected(fault, np.array([12, 3]), 0)


def test_the_host_foresees_every_step_in_which_a_unit_is_broken(opened):
    """What passed through units that draw at 1 % lies in the foreseen steps."""
    program = opened.program
    for unit in (ELEMENT, Link("corrupted", 1, 8)):
        fault = broken(unit, When(rate=0.01, key=5))
        times = injections_of(fault, program.table, program.replicas, 2, 40)
        row = fault.descriptor(program.table, first=2)
        state, passed = opened.initial_state(), []
        for number in range(2, 42):
            passed.append(int(opened.step(state, number, row).record[0]))
        assert 0 < sum(n > 0 for n in times) < 40
        assert all(n for n, values in zip(times, passed, strict=True) if values)
    ids = operations_of(VectorLane(), program.table)
    assert 0 < len(operations_of(ELEMENT, program.table)) < len(ids)
    assert list(operations_of(MemoryAddress("x"), program.table)) == [
        len(program.table)
    ]


def test_status_and_report_group_by_kind_and_rate(golden, opened, tmp_path):
    plan = plan_of(golden)
    subject, runner = WorkloadSubject(plan), Experimenter(plan, opened)
    session = subject.session(["c"], "0")
    with Writer(tmp_path / "run", subject.manifest(), session) as journal:
        journal.add([runner.run(number) for number in range(EXPERIMENTS)])
    with Reader.open(tmp_path / "run") as journal:
        lines = list(status_lines(journal, ("model",)))
        assert any(line.startswith(FEW[0].name) for line in lines)
        lines = list(status_lines(journal, ("op",)))
        assert any(line.startswith("ProcessingElement") for line in lines)
    write_report(tmp_path / "run", tmp_path / "report", Options())
    page = (tmp_path / "report" / "report.md").read_text()
    for title in ("By fault model", "By operation type", "By moment"):
        assert title in page
    assert "link:corrupted rate=0.1" in page and "exponent bit" in page
    assert "messages of the step before" in page


@pytest.mark.slow
def test_all_units_run_in_experiments_that_repeat(golden):
    models = (
        UnitModel(ProcessingElement(8, 8, "weight", "input"), when=When(rate=0.1)),
        UnitModel(VectorLane(), operations=("stuck_1", "flip"), when=When(rate=0.01)),
        UnitModel(MemoryAddress("*"), operations=("stuck_0", "stuck_1")),
        UnitModel(SavedActivation("*")),
        UnitModel(Link("missing", 0, 8), when=When(steps=((0, 0),))),
        UnitModel(Link("twice", 0, 8), when=When(every=4)),
    )
    runner = WorkloadSubject(plan_of(golden, models)).open()
    first: dict[str, int] = {}
    for number in range(60):
        first.setdefault(runner.fault(number).model, number)
    assert first.keys() == {model.name for model in models}
    for number in first.values():
        row = runner.run(number)
        assert row.error is None and row.injected_steps
        assert as_told(runner.run(number)) == as_told(row)


@pytest.mark.slow
def test_detectors_score_the_steps_of_a_broken_unit(golden):
    links = FEW[2:]
    detectors = (("non_finite", ()), ("exact_replay", (("every", 1.0),)))
    plan = plan_of(golden, links, detectors=detectors, recovery=True)
    watched = WorkloadSubject(plan, True, golden_scores(plan)).open()
    alone = Experimenter(plan_of(golden, links), watched.session)
    first: dict[str, int] = {}
    for number in range(EXPERIMENTS):
        first.setdefault(watched.fault(number).model, number)
    assert len(first) == len(links)
    for number in first.values():
        row, other = watched.run(number), alone.run(number)
        assert repr(row.losses) == repr(other.losses)
        assert row.state_digest == other.state_digest
        assert row.injected_steps == other.injected_steps
        assert [len(own) for own in row.scores] == [row.steps_run] * 2
        # What is seen in its own step and drawn again is recovered, message and all.
        assert row.diverged_step is not None and row.values[2] == 1
        assert [name for name, _ in MEASURES][0].endswith(IDENTICAL)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("unit", "least"), [(ELEMENT, 40), (Link("stale", 1, 8), 3)], ids=["pe", "stale"]
)
@pytest.mark.parametrize("compiled", [False, True], ids=["graph", "compiled"])
def test_fifty_steps_with_a_unit_have_the_same_bits_twice(
    tmp_path, compiled, unit, least
):
    folder = train_small(tmp_path / "golden", 54, compiled=compiled)
    runner = WorkloadSubject(plan_of(folder, (UnitModel(unit),), horizon=50)).open()
    fault = broken(unit, When(rate=0.2, key=11))
    courses = []
    for _ in range(2):
        course = Course()
        runner.follower.follow(fault, 50, course)
        courses.append((course.faulty, course.state, course.injected_steps))
        digest = state_digest(course.last)
    assert repr(courses[0]) == repr(courses[1])
    assert courses[0][1] == digest and courses[0][2] > least
    assert len(courses[0][0]) == 50


@pytest.mark.slow
def test_a_killed_campaign_goes_on_and_its_rows_replay(golden, tmp_path):
    """Kill three workers; the rows are those of a run in one piece, with one."""
    plan = plan_of(golden, KILLED)
    whole = tmp_path / "whole"
    subject = WorkloadSubject(plan)
    how = {"manifest": subject.manifest(), "session": subject.session(["c"], "0")}
    how |= PATIENT
    run_small(plan, whole, SmallRunnerOf(plan), 1, **how)
    killed = tmp_path / "killed"
    command = [sys.executable, "-m", "tests.unit_campaign_test", str(golden)]
    process = subprocess.Popen([*command, str(killed), "3"])
    deadline = time.monotonic() + 3600
    while count_of(killed) < 2 and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert EXPERIMENTS > count_of(killed) >= 1
    run_small(plan, killed, SmallRunnerOf(plan), 3, **how)
    assert kept_rows(killed) == kept_rows(whole)
    # Of the journal alone: no plan and no file beside it.
    for replayed in replay_experiments(killed, [0, 7, EXPERIMENTS - 1]):
        assert replayed.differences == ()
        assert any(line.startswith("when ") for line in replayed.lines())


if __name__ == "__main__":
    known_workload()
    PLAN = plan_of(pathlib.Path(sys.argv[1]), KILLED)
    run_small(
        PLAN,
        pathlib.Path(sys.argv[2]),
        SmallRunnerOf(PLAN),
        int(sys.argv[3]),
        manifest=WorkloadSubject(PLAN).manifest(),
        session=WorkloadSubject(PLAN).session(["c"], "0"),
        **PATIENT,
    )
