# SPDX-License-Identifier: Apache-2.0
"""A broken processing element in campaigns over programs of the user."""

import dataclasses
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

import tpufi
from tests import inference_files, own_step_files
from tests.inference_files import kept_rows
from tests.training_campaign_test import opened, own_program, run_here
from tpufi.campaign.engine.replayed import replay_experiments
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.plan_file import read_plan
from tpufi.campaign.report.options import Options
from tpufi.campaign.report.write import write_report
from tpufi.campaign.status_table import status_lines
from tpufi.errors import InputError
from tpufi.faults.broken_unit import BrokenUnit
from tpufi.faults.plan import SiteSpace
from tpufi.faults.sampler import Sampler
from tpufi.faults.unit_model import UnitModel
from tpufi.instrument.inference import InferenceCampaign
from tpufi.models import workload
from tpufi.outcomes.outcome import MASKED_IDENTICAL
from tpufi.units import ProcessingElement, UnitFault
from tpufi.when import When

FAULTS = """
  - {pe: 16x4/output, when: {rate: 0.3}, operation: [flip, stuck_0, stuck_1]}
  - {pe: 16x4/output, row: 1, column: 3, bit: 23-30, when: {steps: [1-2]}}
  - {pe: 4x2/weight/weight, operation: [stuck_0, stuck_1], when: {every: 2}}
  - FLIP"""
UNITS = FAULTS.rpartition("\n")[0]
HORIZON, EXPERIMENTS = 6, 40
CHANGES = {"faults": FAULTS, "durations": "", "horizon": str(HORIZON)}


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    """A campaign that was run at once; its plan, its folder."""
    plan = own_step_files.write_files(tmp_path_factory.mktemp("units"), **CHANGES)
    out = plan.parent / "out"
    assert run_here(plan, out) == f"all {EXPERIMENTS} experiments are done"
    return plan, out


def rows_of(out) -> list:
    with Reader.open(out) as journal:
        return list(journal.rows())


def test_rows_are_the_same_after_stops(campaign, tmp_path):
    plan, whole = campaign
    assert [run_here(plan, tmp_path / "out", n) for n in (2, 1)] == [None] * 2
    assert run_here(plan, tmp_path / "out").startswith("all 40")
    assert kept_rows(tmp_path / "out") == kept_rows(whole)


def test_a_row_is_the_training_by_hand_golden_before_its_first_step(campaign):
    """The user's step is called from its first state on, in an injected block."""
    plan, out = campaign
    subject, loaded = opened(plan)
    done, visible = 0, 0
    for row in rows_of(out):
        fault = subject.fault(row.experiment)
        if not isinstance(fault, BrokenUnit) or done == 12:
            continue
        golden = loaded.golden_of(fault)
        golden.enter(0)
        losses, passed = [], []
        unit = dataclasses.replace(fault.fault, first=fault.step)
        with loaded.fi.injected(unit) as injections:
            for number in range(fault.step + row.steps_run):
                outputs = loaded.fi(*loaded.program.batch(number))
                losses.append(float(outputs["loss"]))
            passed = [record.passed > 0 for record in injections]
        assert golden.state() == row.state_digest
        assert losses[: fault.step] == [p.loss for p in golden.points[: fault.step]]
        assert repr(losses[fault.step :]) == repr([loss for loss, _ in row.losses])
        assert not any(passed[: fault.step])
        assert sum(passed) == row.injected_steps
        done += 1
        visible += row.diverged_step is not None
    assert done == 12 and visible > 3


def test_rows_have_the_columns_of_units_and_both_kinds_of_outcomes(campaign):
    plan, out = campaign
    rows = rows_of(out)
    units = [row.fault for row in rows if row.fault.op == "ProcessingElement"]
    assert {fault.model for fault in units} == {
        "pe:16x4/output/output rate=0.3",
        "pe:16x4/output/output steps=1-2",
        "pe:4x2/weight/weight every=2",
    }
    assert len(units) < len(rows)
    for fault in units:
        assert fault.site.partition("@")[0] == fault.model.partition(" ")[0]
        assert fault.model.endswith(f" {fault.moment}")
        place = (fault.layer, fault.direction, fault.operand, fault.count)
        assert place == ("every layer", "every", "product", 1)
    assert {fault.operation for fault in units} == {"flip", "stuck_0", "stuck_1"}
    for row in rows:
        assert row.error is None and 1 <= row.steps_run == len(row.losses) <= HORIZON
    found = [row for row in rows if row.fault.op == "ProcessingElement"]
    assert {row.outcome == MASKED_IDENTICAL for row in found} == {True, False}
    assert any(not row.injected_steps for row in found)
    assert any(row.injected_steps > 1 for row in found)
    with Reader.open(out) as journal:
        lines = list(status_lines(journal, ("model",)))
    assert any(line.startswith("pe:4x2/weight/weight every=2") for line in lines)
    write_report(out, plan.parent / "report", Options())
    assert "pe:16x4/output/output" in (plan.parent / "report/report.md").read_text()


def test_units_are_drawn_as_in_campaigns_over_workloads(tmp_path):
    space = SiteSpace.of(workload("resnet18"), 8)
    plan = read_plan(
        own_step_files.write_files(tmp_path, **CHANGES | {"faults": UNITS})
    )
    subject, _ = opened(tmp_path / "plan.yaml")
    sampler = Sampler(space, plan.sampling)
    faults = [subject.fault(number) for number in range(50)]
    assert faults == [sampler.draw(plan.seed, number) for number in range(50)]


def test_any_row_comes_out_again_alone(campaign):
    plan, out = campaign
    subject, loaded = opened(plan)
    object.__setattr__(subject, "open", lambda: subject.opened(loaded, lambda: None))
    for again in replay_experiments(out, (31, 4, 17, 0), subject=subject):
        assert again.differences == ()


def test_one_trace_serves_all_experiments_of_one_kind(tmp_path):
    step, state, data = own_program()
    traced = []

    def counted(x, y):
        traced.append(x)
        return step(x, y)

    element = ProcessingElement(2, 2, "output", "output")
    models = {
        "pe:2x2/output": 1,
        UnitModel(element, (), ("stuck_1",), (20, 30), When(every=2)): 2,
    }
    campaign = tpufi.TrainingCampaign(
        counted, state, data, steps=(1, 6), horizon=3, experiments=30, seed=2,
        faults=models, monitors=[tpufi.not_finite()],
    )  # fmt: skip
    result = campaign.run(tmp_path / "out")
    assert len(traced) == 1
    assert result.reason == "all 30 experiments are done"
    faults = [row.fault for row in rows_of(tmp_path / "out")]
    assert {f.site.partition("@")[0] for f in faults} == {"pe:2x2/output/output"}
    given = [fault for fault in faults if fault.model.endswith("every=2")]
    assert 0 < len(given) < 30 and {fault.operation for fault in given} == {"stuck_1"}
    assert {fault.start for fault in given} == {0}
    assert {fault.bit for fault in given} <= {*range(20, 31)}
    for again in campaign.replay(tmp_path / "out", 3, 11):
        assert again.differences == ()


def test_each_kind_forks_from_the_golden_run_of_its_own_program(tmp_path):
    """XLA rounds programs that are armed in other ways differently."""
    rng = np.random.default_rng(0)
    w = tf.Variable(rng.normal(size=(40, 3)).astype("float32"))

    @tf.function(jit_compile=True)
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.nn.softmax(tf.matmul(x, w) * 0.3 + 0.1) * y)
        gradient = tape.gradient(loss, w)
        w.assign_sub(0.1 * gradient / (1e-3 + tf.sqrt(tf.reduce_sum(gradient**2))))
        return loss

    data = [tuple(rng.normal(size=(2, 16, 40)).astype("float32")) for _ in range(3)]
    data = [(x, y[:, :3]) for x, y in data]
    never = UnitModel(ProcessingElement(4, 4, "output", "output"), when=When(rate=1e-9))
    campaign = tpufi.TrainingCampaign(
        step, w, data, steps=(1, 6), horizon=4, faults=[never, "FLIP"], experiments=12
    )
    campaign.run(tmp_path / "out")
    rows = [r for r in rows_of(tmp_path / "out") if r.fault.model != "FLIP"]
    assert rows
    for row in rows:
        assert (row.outcome, row.injected_steps) == (MASKED_IDENTICAL, 0)


BROKEN = {
    "{pe: 4x4/output, row: 4}": "row 4 is not 0 to 3 of an array of 4x4; choose 0 to 3",
    "{pe: 4x4/output, bit: 32}": "bit 32 is not 0 to 31 of float32; choose 0 to 31",
    "{lane: any}": "a VectorLane is .* elementwise operations, or break a Processing",
    "[FLIP, {memory: '*'}]": "a MemoryAddress is .*WeightFault.*, or break a Proc",
    "{saved: dense}": "a SavedActivation is .* operands=True .*, or break a Processing",
    "{link: twice}": r"a Link is .* gradients, or break a ProcessingElement \(pe: in a",
}


@pytest.mark.parametrize("faults", BROKEN)
def test_what_a_program_has_no_unit_for_is_one_line(faults, tmp_path):
    plan = own_step_files.write_files(tmp_path, **CHANGES | {"faults": faults})
    with pytest.raises(InputError, match=BROKEN[faults]) as error:
        opened(plan)
    assert "\n" not in str(error.value)


def test_what_serves_nothing_beside_units_is_one_line(tmp_path):
    element = UnitModel(ProcessingElement(2, 2, "output", "output"))
    with pytest.raises(InputError, match="sites: a unit is in all products"):
        tpufi.TrainingCampaign(
            *own_program(), steps=(0, 2), horizon=2, faults=[element], sites=["MatMul"]
        )
    w = tf.Variable([1.0, 2.0])
    with pytest.raises(InputError, match="has a part in no operation"):
        tpufi.TrainingCampaign(
            lambda x: tf.reduce_sum(w.assign_sub(x)), w, [(np.ones(2, "float32"),)],
            steps=(0, 2), horizon=2, faults=["pe:2x2/output"],
        )  # fmt: skip
    fi = tpufi.instrument(lambda x: tf.matmul(x, x), nan_guard=True)
    with pytest.raises(InputError, match="unit: guards .* leave them out"):
        InferenceCampaign(fi, faults=[element]).run([(tf.ones((2, 2)), None)], 1)
    with pytest.raises(InputError, match=r"give a UnitModel\(ProcessingElement\("):
        InferenceCampaign(fi, faults=["pe:2x2/output"])
    with pytest.raises(InputError, match="UnitFault is nothing to draw from; give a"):
        InferenceCampaign(fi, faults=[UnitFault(element.unit)])
    wrong = UnitModel(element.unit, when=When(every=3))
    with pytest.raises(InputError, match="every=3 of a unit: an inference is one step"):
        InferenceCampaign(fi, faults=[wrong])
    plan = inference_files.write_files(
        tmp_path, faults="{pe: 2x2/output, when: {steps: 1-2}}"
    )
    with pytest.raises(InputError, match=r"plan.yaml:7: faults: when steps=1-2 of a"):
        read_plan(plan)


@pytest.fixture(scope="module")
def inferences(tmp_path_factory):
    """A campaign of inferences that was run at once; its plan, its folder."""
    folder = tmp_path_factory.mktemp("inferences")
    faults = "[{pe: 3x2/output}, {pe: 3x2/output/weight, when: {rate: 0.3}}, FLIP]"
    plan = inference_files.write_files(folder, faults=faults, experiments="60")
    assert inference_files.run_here(plan, folder / "out").startswith("all 60")
    return plan, folder / "out"


def test_an_inference_is_what_a_call_with_its_unit_gives(inferences):
    plan, out = inferences
    subject = inference_files.subject_here(plan)
    loaded = inference_files.loaded_here(plan)
    masked, injected = set(), set()
    for row in rows_of(out):
        fault = subject.fault(row.experiment)
        if not isinstance(fault, BrokenUnit):
            assert row.injected_steps is None
            continue
        item = row.experiment % len(subject.chosen)
        run = loaded.fi.noted_run([fault], 1, loaded.inputs(item // 4))
        answer = run.outputs.numpy()[item % 4]
        golden = loaded.golden_answers(item // 4)[item % 4]
        same = answer.tobytes() == golden.tobytes()
        assert (row.outcome == MASKED_IDENTICAL) == same
        assert row.injected_steps == (run.injections[0].passed > 0)
        masked.add(same)
        injected.add(row.injected_steps)
    assert masked == injected == {True, False}


def test_inferences_with_units_are_the_same_after_stops(inferences, tmp_path):
    plan, whole = inferences
    assert [inference_files.run_here(plan, tmp_path / "out", n) for n in (1, 1)] == [
        None,
        None,
    ]
    assert inference_files.run_here(plan, tmp_path / "out").startswith("all 60")
    assert kept_rows(tmp_path / "out") == kept_rows(whole)


def test_a_script_draws_units_for_each_item():
    rng = np.random.default_rng(4)
    w = rng.normal(size=(6, 5)).astype("float32")
    x = tf.constant(rng.normal(size=(4, 6)).astype("float32"))
    fi = tpufi.instrument(lambda x: tf.matmul(x, w))
    element = UnitModel(ProcessingElement(4, 5, "output", "output"))
    campaign = InferenceCampaign(fi, seed=1, faults=[element, "FLIP"])
    result = campaign.run([(x, None)], runs=30)
    golden = tf.matmul(x, w).numpy()
    changed = 0
    for trial in result.trials:
        if trial.model == "FLIP":
            continue
        fault = campaign.faults(trial.run, x)[trial.item]
        row, column = fault.fault.unit.place
        assert trial.site == f"pe:4x5/output/output@{row},{column}"
        assert (trial.element, trial.op) == (5 * row + column, "ProcessingElement")
        answer = fi.run(fault, x).outputs.numpy()
        different = np.argwhere(answer.view("int32") != golden.view("int32"))
        assert different.tolist() == [[row, column]]
        assert trial.masked == (row != trial.item)
        changed += not trial.masked
    assert 0 < changed < len(result.trials)


@pytest.mark.slow
def test_any_number_of_workers_and_a_kill_give_the_same_rows(campaign, tmp_path):
    plan, whole = campaign
    command = [sys.executable, "-m", "tpufi", "campaign", "run", str(plan), "--out"]
    out = tmp_path / "out"
    run = subprocess.Popen([*command, str(out), "--workers", "1"])
    while run.poll() is None and (not out.exists() or not _count(out)):
        time.sleep(0.05)
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert 0 < _count(out) < EXPERIMENTS
    assert subprocess.run([*command, str(out), "--workers", "3"]).returncode == 0
    one = tmp_path / "one"
    assert subprocess.run([*command, str(one), "--workers", "1"]).returncode == 0
    assert kept_rows(out) == kept_rows(one) == kept_rows(whole)
    numbers = ["--experiment", "7", "12"]
    replay = [sys.executable, "-m", "tpufi", "replay", "--campaign", str(out)]
    done = subprocess.run([*replay, "--plan", str(plan), *numbers], capture_output=True)
    assert done.returncode == 0 and done.stdout.count(b"identical to its row") == 2


def _count(out) -> int:
    try:
        with Reader.open(out) as journal:
            return journal.count()
    except InputError:
        return 0
