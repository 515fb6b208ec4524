# SPDX-License-Identifier: Apache-2.0
"""Campaigns over a user's own training step: journal, resumption, monitors, replay."""

import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf

import tpufi
from tests.inference_files import kept_rows
from tests.own_step_files import write_files, write_plan
from tpufi.campaign.engine.here_pool import HerePool, HereWorker
from tpufi.campaign.engine.replayed import replay_experiments
from tpufi.campaign.engine.run import Scale, run_campaign
from tpufi.campaign.engine.watcher import Watcher
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.monitor_table import monitor_rates
from tpufi.campaign.own_step.loaded import LoadedStep
from tpufi.campaign.own_step.monitors import monitor_of
from tpufi.campaign.own_step.subject import StepSubject
from tpufi.campaign.own_step.training_program import TrainingProgram
from tpufi.campaign.plan_file import read_plan
from tpufi.campaign.report.facts import gather
from tpufi.campaign.report.options import Options
from tpufi.campaign.report.write import build
from tpufi.campaign.status_table import status_lines
from tpufi.errors import InputError
from tpufi.faults.injection_file import PROGRAM, DrawnInjection
from tpufi.training import make_deterministic


def opened(path) -> tuple[StepSubject, LoadedStep]:
    make_deterministic()  # As the processes of a campaign are; it changes the trace.
    plan = read_plan(path)
    loaded = LoadedStep(plan)
    return StepSubject.of_loaded(plan, loaded), loaded


def run_here(path, out, blocks: int = 1 << 30):
    """Run a campaign in this process; stop after some blocks."""
    subject, loaded = opened(path)
    worker = HereWorker(lambda alive: subject.opened(loaded, alive))
    ended = run_campaign(
        subject, out, subject.manifest(), subject.session(["x"], "0"),
        lambda: HerePool(worker), Watcher(), Scale(block=3),
        lambda: worker.blocks >= blocks,
    )  # fmt: skip
    assert not ended.not_active
    return ended.reason


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    """A campaign that was run at once; its plan, its folder."""
    folder = tmp_path_factory.mktemp("training")
    plan = write_files(folder)
    assert run_here(plan, folder / "out") == "all 40 experiments are done"
    return plan, folder / "out"


def test_rows_are_the_same_after_stops(campaign, tmp_path):
    plan, whole = campaign
    assert [run_here(plan, tmp_path / "out", n) for n in (2, 1, 4)] == [None] * 3
    assert run_here(plan, tmp_path / "out") == "all 40 experiments are done"
    assert kept_rows(tmp_path / "out") == kept_rows(whole)


def test_all_its_models_are_run_and_columns_say_where(campaign):
    _, out = campaign
    with Reader.open(out) as journal:
        rows = list(journal.rows())
    assert {row.fault.model for row in rows} == {
        *("FLIP", "RANDOM_VALUE", "STALE", "CHANNEL_ZERO", "N64_WT", "TOP_BIT")
    }
    assert {row.fault.duration for row in rows} == {1, 2}
    assert {row.fault.direction for row in rows} <= {"forward", "backward", "update"}
    for row in rows:
        assert row.fault.epoch == 0 and 2 <= row.fault.step <= 9
        assert row.fault.item is None and row.fault.site and row.fault.op
        assert row.error is None and 1 <= row.steps_run == len(row.losses) <= 4
        if row.fault.model == "N64_WT":
            assert row.fault.operand == "weight" and ":in" in row.fault.site


def test_a_row_is_what_training_with_its_fault_gives(campaign):
    """The rows are done again by hand, with the step of the user and an own flip."""
    plan, out = campaign
    subject, loaded = opened(plan)
    with Reader.open(out) as journal:
        rows = [row for row in journal.rows() if row.fault.model == "FLIP"][:4]
    assert rows
    for row in rows:
        fault = subject.fault(row.experiment)
        loaded.golden.enter(0)
        losses = []
        for number in range(fault.step + row.steps_run):
            batch = loaded.program.batch(number)
            after = number - fault.step
            given = (fault,) if 0 <= after < fault.duration else ()
            outputs = loaded.fi.run(given, *batch).outputs
            losses.append(float(outputs["loss"]))
        assert repr(losses[fault.step :]) == repr([loss for loss, _ in row.losses])
        assert loaded.golden.state() == row.state_digest


def test_any_row_comes_out_again(campaign):
    plan, out = campaign
    subject, loaded = opened(plan)
    object.__setattr__(subject, "open", lambda: subject.opened(loaded, lambda: None))
    for again in replay_experiments(out, (31, 4, 17, 0), subject=subject):
        assert again.differences == ()
        assert list(again.lines())[-1] == "identical to its row in the journal"
    changed = write_plan(plan.parent, seed="4")
    other, _ = opened(changed)
    write_plan(plan.parent)
    with pytest.raises(InputError, match="begun with another plan: seed"):
        list(replay_experiments(out, (0,), subject=other))


def test_monitors_are_counted_from_the_losses(campaign):
    _, out = campaign
    with Reader.open(out) as journal:
        found = {rates.name: rates for rates in monitor_rates(journal)}
        rows = list(journal.rows())
        lines = list(status_lines(journal))
        document = build(gather("folder", journal, Options()))
    assert list(found) == [
        *("loss above 3", "gradient_norm above 50", "not finite", "large")
    ]
    judged = [("masked" not in row.outcome, row) for row in rows]
    alarmed = [(v, any(not loss <= 3 for loss, _ in r.losses)) for v, r in judged]
    rates = found["loss above 3"]
    assert (rates.detected, rates.missed, rates.false_alarms, rates.quiet) == tuple(
        alarmed.count(pair)
        for pair in ((True, True), (True, False), (False, True), (False, False))
    )
    assert rates.detected > 0
    assert any(line.startswith("monitor loss above 3: detected") for line in lines)
    (table,) = [t for t in document.tables() if t.key == "monitors"]
    (row,) = [r for r in table.rows() if r[0] == "loss above 3"]
    assert row[1:3] == (rates.detected, rates.missed)
    assert document.title == "Fault campaign on train.py:make"
    assert "alarm" not in " ".join(t.key for t in document.tables())


def own_program():
    """A step with a momentum of its own; no object of Keras."""
    weight = tf.Variable(np.ones((3, 2), np.float32), name="weight")
    momentum = tf.Variable(np.zeros((3, 2), np.float32), name="momentum")

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((tf.matmul(x, weight) - y) ** 2)
        gradient = tape.gradient(loss, weight)
        momentum.assign(0.9 * momentum + gradient)
        weight.assign_sub(0.05 * momentum)
        return loss

    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 4, 3)).astype(np.float32)
    return step, [weight, momentum], [(a, a[:, :2]) for a in x]


def test_ten_lines_of_python_do_it(tmp_path):
    step, state, data = own_program()
    campaign = tpufi.TrainingCampaign(
        step, state, data,
        steps=(1, 6), horizon=3, experiments=30, seed=2,
        faults={"FLIP": 2, "NAN": 1},
        monitors=[tpufi.loss_above(100), tpufi.not_finite()],
    )  # fmt: skip
    result = campaign.run(tmp_path / "out")
    assert result.reason == "all 30 experiments are done"
    assert len(result.to_pandas()) == 30
    frame = result.to_pandas()
    assert set(frame["model"]) == {"FLIP", "NAN"}
    (loss, finite) = result.monitors()
    assert finite.name == "not finite" and finite.detected > 0
    assert finite.detected <= loss.detected  # NaN is above any bound.
    assert "monitor not finite: detected" in str(result)
    assert result.report().is_file()
    (again,) = campaign.replay(tmp_path / "out", 7)
    assert again.differences == ()
    assert campaign.run(tmp_path / "out").reason == result.reason


def test_drawn_faults_come_out_the_same_as_injection_files(campaign, tmp_path):
    plan, out = campaign
    subject, _ = opened(plan)
    folder = tmp_path / "faults"
    folder.mkdir()
    for number in range(40):
        fault = subject.fault(number)
        if fault.model != "TOP_BIT":  # A file knows models of the catalogue only.
            path = folder / f"{number:02}.csv"
            tpufi.write_injection(DrawnInjection(PROGRAM, fault), path)
    kept = [int(path.stem) for path in sorted(folder.iterdir())]
    given = dict.fromkeys(("faults", "steps", "durations", "experiments"), "")
    files = write_files(tmp_path, **given, injections="[faults]")
    reason = f"all {len(kept)} experiments are done"
    assert run_here(files, tmp_path / "out") == reason
    with Reader.open(out) as drawn, Reader.open(tmp_path / "out") as journal:
        for number, before in enumerate(kept):
            again, row = journal.row(number), drawn.row(before)
            assert again.fault == row.fault and again.outcome == row.outcome
            assert again.state_digest == row.state_digest


WRONG = {
    "not repeatable": (
        lambda s, v, d: (lambda x, y: s(x, y) + 0 * v[0].assign_add(
            tf.random.normal((3, 2)))[0, 0], v, d),
        "gives another state when it is done again",
    ),
    "no loss": (lambda s, v, d: (lambda x, y: {"cost": s(x, y)}, v, d), "be loss"),
    "no data": (lambda s, v, d: (s, v, []), "no batch"),
    "no function": (lambda s, v, d: (3, v, d), "no function"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_program_is_one_line(case):
    make, why = WRONG[case]
    with pytest.raises(InputError, match=why) as error:
        tpufi.TrainingCampaign(*make(*own_program()), steps=(0, 2), horizon=2)
    assert "\n" not in str(error.value)


def test_what_a_program_returns_is_told():
    assert TrainingProgram.of(own_program()).batch(7)[0].shape == (4, 3)
    with pytest.raises(InputError, match=r"int: expected \(step, state, data\)"):
        TrainingProgram.of(3)
    with pytest.raises(InputError, match="not compiled"):
        TrainingProgram(tf.keras.Sequential([tf.keras.layers.Dense(1)]), None, [1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"monitors": "[loss over 3]"}, "'loss over 3'; expected loss above 10"),
        ({"monitors": "['train.py:none']"}, "no 'none'; nearest"),
        ({"monitors": "[not finite, not finite]"}, "stands twice"),
        ({"monitors": "[norm above 3]"}, "the step returns loss, gradient_norm"),
        ({"steps": "0-3"}, "STALE needs the step before"),
        ({"horizon": "0"}, "horizon: 0; expected 1"),
        ({"steps": ""}, "steps"),
        ({"faults": "['train.py:make']"}, "function; expected a FaultModel"),
        ({"faults": "[INPUT_16]"}, "INPUT_16 fits none .* nothing is confined"),
        ({"sites": "{lists: [forward]}"}, "unknown key 'lists'"),
        ({"program": "none.py:make"}, "none.py: no such file"),
        ({"faults": "", "injections": "[none.csv]"}, "steps: says what is drawn"),
        ({"program": "train.py:data"}, r"list: expected \(step, state, data\)"),
    ],
)
def test_a_wrong_plan_is_one_line(changes, message, tmp_path):
    with pytest.raises(InputError, match=message) as error:
        opened(write_files(tmp_path, **changes))[0].manifest()
    assert "\n" not in str(error.value)


def test_monitors_see_what_they_say():
    metrics = {"loss": 2.0, "gradient_norm": math.inf}
    told = {
        "loss above 1": True, "loss above 2": False, "gradient_norm above 1e30": True,
        "not finite": True,
    }  # fmt: skip
    assert {m: monitor_of(m).alarm(metrics) for m in told} == told
    assert monitor_of("loss above 1").alarm({"loss": math.nan})
    own = monitor_of(lambda numbers: numbers["loss"] == 2)
    assert own.name == "<lambda>" and own.alarm(metrics)
    assert dataclasses.replace(own, name="two").name == "two"
