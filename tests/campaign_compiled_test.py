# SPDX-License-Identifier: Apache-2.0
"""Compiled campaigns: the golden run is clean, faulty steps go beside a control."""

import dataclasses
import json
import multiprocessing
import os
import random
import shutil
import signal
import time

import numpy as np
import pytest
import tensorflow as tf

from tests.campaign_runs import (
    CONFIG,
    SmallRunnerOf,
    compiled_plan,
    kept_rows,
    known_workload,
    run_small,
    train_small,
)
from tests.golden_lines import with_other_state
from tpufi.campaign.engine.replayed import Replayed, replay_experiments
from tpufi.campaign.engine.run import Scale
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.plan import CampaignPlan
from tpufi.campaign.workload.experiment import Experimenter
from tpufi.campaign.workload.gate import check_deterministic
from tpufi.campaign.workload.subject import WorkloadSubject
from tpufi.descriptor import disarmed
from tpufi.errors import InputError
from tpufi.faults.catalogue import FAULT_MODELS, any_fault_model
from tpufi.golden import GoldenFolder
from tpufi.training import same_state

EXPERIMENTS = 60
CONTEXT = multiprocessing.get_context("spawn")


def few(golden) -> CampaignPlan:
    """Return a plan of three sites; some of its faults change no bit that counts."""
    models = tuple(any_fault_model(name) for name in ("ZERO", "RBFLIP", "STALE"))
    return compiled_plan(golden, 10, models, ("fc/forward/output", "relu1/*/output"))


@pytest.fixture(scope="module")
def golden(tmp_path_factory):
    folder = tmp_path_factory.mktemp("golden")
    return train_small(folder, 9, compiled=True, replicas=1)


@pytest.fixture(scope="module")
def runner(golden):
    return WorkloadSubject(few(golden)).open()


def test_the_golden_run_and_all_faults_take_two_traces(runner):
    rows = [runner.run(number) for number in range(10)]
    assert runner.session.program.traces == 2
    assert not any(row.error for row in rows)
    assert any(row.diverged_step is not None for row in rows)
    for number in (7, 2, 5):
        assert Replayed("", runner.run(number), rows[number]).differences == ()


def test_the_program_has_the_sites_of_the_plan_only(runner):
    names = runner.session.program.training_step.names
    assert names == {"fc/forward/output", *_relu_outputs(runner)}


def _relu_outputs(runner) -> set[str]:
    table = runner.session.program.table
    return {s.name for s in table if s.layer == "relu1" and s.operand == "output"}


def test_the_manifest_tells_device_compilation_and_control(golden, tmp_path):
    manifest = WorkloadSubject(few(golden)).manifest()
    told = manifest.device, manifest.compiled, manifest.control
    assert told == ("cpu", "yes", "armed")
    graph = train_small(tmp_path, 9)
    manifest = WorkloadSubject(few(graph)).manifest()
    told = manifest.device, manifest.compiled, manifest.control
    assert told == ("cpu", "no", "golden")
    config = json.loads((golden / "manifest.json").read_text())["config"]
    assert config["compiled"] and config["device"] == "cpu"


def test_the_control_is_the_armed_program_without_a_fault(runner):
    first = 3
    state = runner.walk.state(first)
    for injected in (1, 2):
        state = runner.session.step(state, first + injected - 1, disarmed()).state
        assert same_state(runner.walk.control(first, injected), state)
        assert runner.walk.is_control(state, first, injected)
        assert not runner.walk.is_control(runner.walk.state(first), first, injected)
    clean = runner.session.step(state, first + 2).state
    assert same_state(runner.walk.control(first, 2, 1), clean)
    steps = runner.walk._control.steps
    runner.walk.control(first, 2, 1)
    assert runner.walk._control.steps == steps  # Experiments share them.


def test_a_fault_that_leaves_the_controls_bits_leaves_a_golden_row(runner, monkeypatch):
    drawn = next(f for f in map(runner.fault, range(10)) if not f.stale)
    number = next(n for n in range(10) if runner.fault(n) == drawn)
    harmless = dataclasses.replace(drawn, operation="flip", keep=0, words=(0,))
    # Whatever the compiler makes of it: here the armed program rounds in its own way.
    step = runner.session.program.step

    def otherwise(state, batch, keys, rate, fault=None, number=None):
        found = step(state, batch, keys, rate, fault, number)
        if fault is None:
            return found
        moved = {
            name: tf.constant(np.nextafter(tensor, np.float32(9)))
            for name, tensor in found.state.statistics.items()
        }
        return dataclasses.replace(found, state=found.state._replace(statistics=moved))

    monkeypatch.setattr(runner.session.program, "step", otherwise)
    monkeypatch.setattr(runner, "fault", lambda _: harmless)
    runner.walk._control.fork(-1, None)
    row = runner.run(number)
    assert row.outcome == "masked (bit-identical to golden)"
    assert row.diverged_step is None and row.steps_run == harmless.duration
    last = harmless.step + harmless.duration - 1
    assert row.state_digest == runner.walk.curve[last]["state"]
    assert row.spread == ()
    check_deterministic(runner)
    runner.walk._control.fork(-1, None)


def test_a_golden_run_that_does_not_come_out_again_is_refused(golden, runner, tmp_path):
    copy = shutil.copytree(golden, tmp_path / "copy")
    with_other_state(GoldenFolder(copy), 1)
    other = Experimenter(few(copy), runner.session, verify=False)
    with pytest.raises(InputError, match="step 1: the golden step gives another"):
        check_deterministic(other)


def run_to(golden, folder, workers: int) -> None:
    """Run or take up the campaign of all published fault models."""
    known_workload()
    plan = compiled_plan(golden, EXPERIMENTS)
    run_small(
        plan,
        folder,
        SmallRunnerOf(plan),
        workers,
        timeout=600,
        start_timeout=3600,
        scale=Scale(EXPERIMENTS, 3),
        manifest=WorkloadSubject(plan).manifest(),
        session=WorkloadSubject(plan).session(["campaign.py"], "0"),
    )


@pytest.mark.slow
def test_workers_kills_and_replays_change_no_row(golden, tmp_path):
    run_to(golden, tmp_path / "one", 1)
    rows = kept_rows(tmp_path / "one")
    assert [row[0] for row in rows] == list(range(EXPERIMENTS))
    plan = compiled_plan(golden, EXPERIMENTS)
    sampler = plan.sampler(CONFIG.per_replica)
    drawn = {sampler.draw(plan.seed, number).model for number in range(EXPERIMENTS)}
    assert drawn == set(FAULT_MODELS)

    child = CONTEXT.Process(target=run_to, args=(golden, tmp_path / "killed", 3))
    child.start()
    until = time.monotonic() + 3600
    while _count(tmp_path / "killed") < 10 and time.monotonic() < until:
        assert child.is_alive()
        time.sleep(0.2)
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    assert 10 <= _count(tmp_path / "killed") < EXPERIMENTS
    run_to(golden, tmp_path / "killed", 3)
    assert kept_rows(tmp_path / "killed") == rows

    numbers = random.Random(5).sample(range(EXPERIMENTS), 10)
    for again in replay_experiments(tmp_path / "killed", numbers):
        assert again.differences == ()


def _count(folder) -> int:
    if not (folder / "journal.sqlite").exists():
        return 0
    try:
        with Reader.open(folder) as journal:
            return journal.count()
    except InputError:  # Not begun yet.
        return 0
