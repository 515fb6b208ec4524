# SPDX-License-Identifier: Apache-2.0
"""The reproduction of published injections, on a workload that trains in seconds."""

import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf

from tests.tiny_workload import TINY
from tpufi import models
from tpufi.contrib.isca23.reproduction import runs as runs_module
from tpufi.contrib.isca23.reproduction.plan import Case, Plan
from tpufi.contrib.isca23.reproduction.results import (
    Measured,
    compare_states,
    read_measured,
    write_measured,
)
from tpufi.contrib.isca23.reproduction.runs import Runs
from tpufi.data import load_dataset
from tpufi.errors import InputError
from tpufi.faults.csv import write_injection
from tpufi.faults.injection import Injection
from tpufi.golden import GoldenFolder
from tpufi.outcomes import outcome
from tpufi.outcomes.outcome_thresholds import read_thresholds
from tpufi.training import initial_state

PLAN = Plan(
    approach_steps=3,
    approach_images=4,
    warm=2,
    horizon=4,
    other_seeds=(124, 125),
    replicas=2,
    per_replica=4,
)
FAULT = Injection(
    model="resnet18",
    stage="fwrd_inject",
    fmodel="RD",
    target_worker=1,
    target_layer="block_conv2",
    target_epoch=3,
    target_step=2,
    inj_pos=((1, 0, 0, 0),),
    inj_values=(5.0,),
    learning_rate=0.001,
)
FIRST = 3 * 49 + 2
LIMITS = read_thresholds()


@pytest.fixture(scope="module")
def tiny():
    # Injection files name published workloads only, so this one takes such a name.
    small = dataclasses.replace(TINY, name="resnet18", input_shape=(32, 32, 3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(models.WORKLOADS, "resnet18", small)
        yield small


@pytest.fixture(scope="module")
def out(tiny, tmp_path_factory):
    return tmp_path_factory.mktemp("out")


@pytest.fixture(scope="module")
def runs(out):
    data = "synthetic:64"
    return Runs("resnet18", PLAN, data, load_dataset(data), out)


def case_of(out, name="inj_masked", **changes) -> Case:
    injection = dataclasses.replace(FAULT, **changes)
    file = out / "resnet18" / f"{name}.csv"
    file.parent.mkdir(exist_ok=True)
    write_injection(injection, file)
    return Case(file, injection, outcome.MASKED)


@pytest.fixture(scope="module")
def measured(runs, out):
    case = case_of(out)
    return runs.widen(case, runs.measure(case, LIMITS))


def test_a_case_is_followed_from_its_published_step_in_the_published_size(
    measured, out
):
    assert measured.first == FIRST
    assert list(map(len, (measured.faulty, measured.golden))) == [4, 4]
    config, _ = GoldenFolder(out / "golden_resnet18_inj_masked").read_manifest()
    assert (config.replicas, config.per_replica) == (2, 4)
    assert (config.start.step, config.start.source_step) == (FIRST - 2, 3)
    assert config.start.run.per_replica == 4 and config.start.run.replicas == 1


def test_the_other_golden_runs_start_at_the_faulty_step_and_differ(measured):
    assert len(measured.others) == 2
    losses = {tuple(p.loss for p in run) for run in (measured.golden, *measured.others)}
    assert len(losses) == 3


def test_the_evidence_is_of_the_faulty_step(measured):
    assert measured.state["moving_mean"].tensor == "block_bn2/moving_mean"
    assert measured.state["moving_mean"].changed == 1
    assert measured.state["weights"].changed > 0
    (bits,) = measured.injected
    assert bits[1] == "0x40a00000" != bits[0]


def test_a_second_call_does_nothing_again(measured, runs, out):
    case = case_of(out)
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*")}
    assert runs.measure(case, LIMITS) == measured
    assert runs.widen(case, measured) == measured
    after = {p: p.stat().st_mtime_ns for p in out.rglob("*")}
    assert after == before


@pytest.mark.parametrize("moment", ["compare_states", "golden_accuracy"])
def test_a_case_that_was_killed_gives_the_same_measurements(
    moment, measured, out, tmp_path, monkeypatch
):
    """Killed after the faulty step, or after another golden run was trained."""
    data = "synthetic:64"
    again = Runs("resnet18", PLAN, data, load_dataset(data), tmp_path)
    case = case_of(out)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    def complete() -> Measured:
        return again.widen(case, again.measure(case, LIMITS))

    with monkeypatch.context() as patch:
        patch.setattr(runs_module, moment, killed)
        with pytest.raises(KeyboardInterrupt):
            complete()
    assert again.known(case) != measured
    assert complete() == measured == again.known(case)


def test_a_changed_injection_is_measured_again(runs, out, measured):
    other = case_of(out, "inj_immediate_infs_nans", inj_values=(math.nan,))
    found = runs.measure(other, LIMITS)
    assert found.outcome(LIMITS) == outcome.IMMEDIATE
    # Nothing has to be compared with the band.
    assert runs.widen(other, found).others == () and found.validation is None
    assert len(found.golden) == len(found.faulty) == 1
    changed = case_of(out, "inj_immediate_infs_nans", inj_values=(5.0,))
    assert runs.known(changed) is None
    case_of(out, "inj_immediate_infs_nans", inj_values=(math.nan,))
    assert repr(runs.known(other)) == repr(found)  # NaN is not equal to itself.


def test_measurements_are_the_same_after_writing_and_reading(measured, tmp_path):
    faulty = (dataclasses.replace(measured.faulty[0], loss=math.inf),)
    odd = dataclasses.replace(measured, faulty=faulty, ended_early=True)
    write_measured(odd, tmp_path / "m.json")
    assert read_measured(tmp_path / "m.json") == odd
    (tmp_path / "m.json").write_text("{")
    with pytest.raises(InputError, match="m.json: damaged result"):
        read_measured(tmp_path / "m.json")


def test_the_states_are_compared_by_kind_of_tensor():
    golden = initial_state(TINY, 1)
    kernel = golden.parameters["conv1/kernel"].numpy().copy()
    kernel.flat[3] += 2.0
    slot = golden.slots["conv1/kernel/second_moment"].numpy().copy()
    slot.flat[0:2] = math.inf, math.nan
    slot.flat[2] = 1e38
    faulty = golden._replace(
        parameters={**golden.parameters, "conv1/kernel": tf.constant(kernel)},
        slots={**golden.slots, "conv1/kernel/second_moment": tf.constant(slot)},
    )
    found = compare_states(golden, faulty)
    assert set(found) == {
        "weights", "first_moment", "second_moment", "moving_mean", "moving_variance",
    }  # fmt: skip
    weights = found["weights"]
    assert (weights.tensor, weights.changed) == ("conv1/kernel", 1)
    np.testing.assert_allclose(weights.difference, 2.0, rtol=1e-6)
    second = found["second_moment"]
    assert (second.changed, second.not_finite, second.golden) == (3, 2, 0.0)
    np.testing.assert_allclose(second.faulty, 1e38, rtol=1e-6)
    assert found["first_moment"].changed == 0 == found["moving_mean"].difference
