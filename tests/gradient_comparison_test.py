# SPDX-License-Identifier: Apache-2.0
"""Gradients of one step: handwritten against autodiff, golden against faulty."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.layer_cases import LabelledLoss
from tests.modes import assert_same_bits
from tests.plain_layers import plain
from tests.plain_model import plain_model
from tests.tiny_workload import TINY, tiny_batch
from tpufi.contrib.isca23.gradient_comparison import (
    Case,
    GradientProgram,
    against_autodiff,
    compare_all,
    with_injection,
    without_backward,
)
from tpufi.contrib.isca23.gradient_comparison.summed import in_dtype
from tpufi.data.batches import Batch
from tpufi.descriptor import replacing
from tpufi.errors import InputError
from tpufi.faults.injection import Injection
from tpufi.layers import BatchNorm, Conv2D, Layer
from tpufi.layers.softmax_loss import LossPasses
from tpufi.models import WORKLOADS
from tpufi.optimizers import SGD
from tpufi.random import derive
from tpufi.training import Program, Session
from tpufi.workload import Workload

REPLICAS, PER_REPLICA, STEPS, SEED = 3, 4, 5, 7


class DrawnImages:
    """What a session asks of a data set."""

    name = "drawn"
    example_dtype, example_shape = TINY.input_dtype, TINY.input_shape


class DrawnBatches:
    """Batches of 8x8 images, a pure function of (epoch, step)."""

    dataset = DrawnImages()
    steps = STEPS

    def train(self, epoch: int, step: int) -> Batch:
        return tiny_batch(REPLICAS, PER_REPLICA, seed=epoch * STEPS + step)[0]


def session(workload: Workload = TINY, **changes: object) -> Session:
    """Return a run of the tiny workload, perhaps with other fields."""
    workload = dataclasses.replace(workload, **changes)
    program = Program(workload, REPLICAS, PER_REPLICA)
    return Session(program, DrawnBatches(), SEED, workload.learning_rate)


def dropout_key(number: int, replica: int) -> np.ndarray:
    """Return the key of a step of one replica, as `Session` derives it."""
    epoch, step = divmod(number, STEPS)
    return np.array(derive(SEED, "dropout", epoch, step, replica), np.uint32)


NUMBER = 7  # Not in the first epoch.

# A weight of the second replica, in the name of a workload that a file may have.
WEIGHT = Injection(
    model="resnet18",
    stage="fwrd_inject",
    fmodel="WT",
    target_worker=1,
    target_layer="block_conv2",
    target_epoch=0,
    target_step=0,
    inj_pos=((1, 1, 3, 2),),
    inj_values=(40.0,),
    learning_rate=0.001,
)


@pytest.fixture(scope="module")
def case() -> Case:
    run = session(name="resnet18")
    return Case(run, run.initial_state(), NUMBER, "a test")


def gradients(case: Case, *, autodiff: bool, dtype: str = "float32", fault=None):
    workload, state = in_dtype(case.session.program.workload, case.state, dtype)
    program = GradientProgram(workload, REPLICAS, PER_REPLICA, autodiff=autodiff)
    return program(case.session, state, case.number, fault)


def test_in_float64_the_handwritten_gradients_are_those_of_autodiff(case):
    comparison = against_autodiff(case, "float64")
    assert len(comparison.rows) == len(TINY.parameters) + 1
    largest = max(row.norm for row in comparison.rows)
    for row in comparison.rows:
        # Relative to the tensor; a bias before a batch norm has gradient 0.
        assert row.largest <= 1e-13 * max(row.norm, 1e-3 * largest), row
        assert row.not_finite == 0
    assert comparison.losses[0] == pytest.approx(comparison.losses[1], rel=1e-14)


def test_in_float32_only_rounding_is_between_them(case):
    (*_, everything) = against_autodiff(case).rows
    assert 0 < everything.relative < 1e-6


def test_autodiff_agrees_with_plain_formulas_that_share_no_code_with_the_layers(case):
    actual = gradients(case, autodiff=True, dtype="float64").gradients
    batch = case.session.batches.train(*divmod(NUMBER, 5))
    weights = {n: tf.cast(w, tf.float64) for n, w in case.state.parameters.items()}
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(weights)
        losses = []
        for replica in range(REPLICAS):
            images = tf.constant(batch.images[replica], tf.float64)
            key = dropout_key(NUMBER, replica)
            logits = plain_model(TINY.model, images, weights, key)
            labels = tuple(batch.labels[replica])
            loss = LabelledLoss(TINY.loss, labels, REPLICAS * PER_REPLICA)
            losses.append(plain(loss, logits, [], key))
        total = tf.add_n(losses)
    expected = tape.gradient(total, weights)
    largest = max(float(tf.norm(g)) for g in expected.values())
    for name, want in expected.items():
        error = np.abs(actual[name] - want).max()
        assert error <= 1e-11 * max(np.abs(want).max(), 1e-3 * largest), name


def test_autodiff_never_calls_a_handwritten_backward_pass(case, monkeypatch):
    def forbidden(*_):
        raise AssertionError("handwritten backward pass")

    kinds = {type(layer) for layer, _ in TINY.layers} | {LossPasses}
    assert len(kinds) >= 7
    for kind in kinds:
        monkeypatch.setattr(kind, "backward", forbidden)
    assert (
        gradients(case, autodiff=True).gradients.keys() == case.state.parameters.keys()
    )
    with pytest.raises(AssertionError, match="handwritten backward pass"):
        gradients(case, autodiff=False)


def test_a_wrong_backward_pass_is_found_where_it_is(case, monkeypatch):
    right = BatchNorm.backward

    def wrong(self, sites, saved, dy):
        dx, dgamma, dbeta = right(self, sites, saved, dy)
        return dx, dgamma * (1.001 if self.name == "block_bn2" else 1), dbeta

    monkeypatch.setattr(BatchNorm, "backward", wrong)
    comparison = against_autodiff(case, "float64")
    assert max(comparison.rows[:-1], key=lambda r: r.largest).name == "block_bn2/gamma"
    off = {r.name for r in comparison.rows[:-1] if r.largest > 1e-10}
    assert off == {"block_bn2/gamma"}


def test_summed_gradients_are_those_of_the_training_step_bit_for_bit():
    # With SGD and rate 1 the new weight is the old one minus the gradient.
    run = session(optimizer=SGD())
    case = Case(run, run.initial_state(), NUMBER, "a test")
    own = gradients(case, autodiff=False)
    epoch, step = divmod(NUMBER, run.steps_per_epoch)
    keys = np.array([dropout_key(NUMBER, r) for r in range(REPLICAS)])
    result = run.program.step(case.state, run.batches.train(epoch, step), keys, 1.0)
    assert own.loss == result.loss
    for name, gradient in own.gradients.items():
        new = case.state.parameters[name].numpy() - gradient
        assert_same_bits(new, result.state.parameters[name].numpy())


def test_a_fault_in_the_last_convolution_spares_nothing_but_says_where(case):
    comparison = with_injection(case, WEIGHT)
    kernel = case.state.parameters["block_conv2/kernel"][1, 1, 3, 2].numpy()
    assert comparison.injected == (
        "block_conv2/forward/weight of replica 1 at 1/1/3/2: "
        f"{kernel} -> 40.0",
    )  # fmt: skip
    *rows, everything = comparison.rows
    # The bias of the head has the gradient of the logits, which the fault changed.
    assert all(row.changed > 0 for row in rows)
    assert 0.01 < everything.relative < 100 and everything.not_finite == 0
    assert comparison.losses[0] != comparison.losses[1]


def test_a_backward_fault_changes_only_what_is_computed_from_it(case):
    backward = dataclasses.replace(
        WEIGHT, stage="bkwd_inject", target_layer="block_conv2_grad_wt",
        fmodel="RD", inj_values=(float("inf"),), inj_pos=((3, 1, 1, 2),),
    )  # fmt: skip
    comparison = with_injection(case, backward)
    changed = {row.name: row for row in comparison.rows if row.changed}
    assert changed.keys() == {"block_conv2/kernel", "(all)"}
    row = changed["block_conv2/kernel"]
    assert (row.not_finite, row.changed) == (1, 1 / row.elements)
    # What is finite did not move.
    assert (row.largest, row.relative) == (0, 0)
    assert comparison.losses[0] == comparison.losses[1]


def test_a_step_without_its_fault_is_the_same_twice(case):
    first, second = (gradients(case, autodiff=False) for _ in range(2))
    *_, everything = compare_all(first.gradients, second.gradients)
    assert (everything.changed, everything.largest) == (0, 0)


def test_an_injection_of_another_workload_is_refused(case):
    other = dataclasses.replace(WEIGHT, model="nfnet")
    with pytest.raises(InputError, match="for nfnet, the step of resnet18; name"):
        with_injection(case, other)


def test_autodiff_has_no_site_to_inject_into(case):
    fault = replacing(0, 0, np.arange(1), np.zeros(1))
    with pytest.raises(ValueError, match="no fault sites"):
        gradients(case, autodiff=True, fault=fault)


@pytest.mark.parametrize("name", WORKLOADS)
def test_every_layer_of_every_workload_is_found_and_wrapped(name):
    work = WORKLOADS[name]
    plain_twin = without_backward(work.model)
    assert tuple(plain_twin.layers(work.input_shape)) == work.layers
    assert not _bare_layers(plain_twin)


def _bare_layers(node) -> list[Layer]:
    if isinstance(node, Layer):
        return [node]
    fields = [getattr(node, f.name) for f in dataclasses.fields(node)]
    parts = [p for f in fields for p in (f if isinstance(f, tuple) else (f,))]
    if type(node).__name__ == "ForwardOnly":
        assert isinstance(node.layer, Layer)
        return []
    return [
        bare for p in parts if dataclasses.is_dataclass(p) for bare in _bare_layers(p)
    ]


def test_a_single_layer_can_be_wrapped():
    assert without_backward(Conv2D("c", 4, 3)).layer == Conv2D("c", 4, 3)
