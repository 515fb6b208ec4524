# SPDX-License-Identifier: Apache-2.0
"""Optimisers and schedules equal their formulas, with and without faults."""

import keras
import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf

from tests.layer_cases import SIXTEEN_BITS
from tests.modes import assert_same_bits, in_mode
from tpufi.descriptor import Descriptor, disarmed, read_record, replacing
from tpufi.element import to_words
from tpufi.layers import FaultContext
from tpufi.layers.accumulator import widened
from tpufi.optimizers import SGD, Adam, LinearDecay, Optimizer
from tpufi.site_table import SiteTable

OPTIMIZERS = (SGD(), Adam(), Adam(beta_1=0.5, beta_2=0.8, epsilon=0.01))
SHAPE = (3, 4)
STEPS = 5
SITES = [
    pytest.param(optimizer, operand, id=f"{i}-{type(optimizer).__name__}-{operand}")
    for i, optimizer in enumerate(OPTIMIZERS)
    for operand in optimizer.operands()
]
every_optimizer = pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
every_site = pytest.mark.parametrize(("optimizer", "operand"), SITES)


class Alteration:
    """Sets one element of one operand in one step."""

    def __init__(self, operand: str, step: int, position: int, value: float):
        self.operand, self.step, self.position = operand, step, position
        self.value = value

    def __call__(self, operand: str, step: int, x: np.ndarray) -> np.ndarray:
        if (operand, step) == (self.operand, self.step):
            x = x.copy()
            x.reshape(-1)[self.position] = self.value
        return x


def _numpy(optimizer: Optimizer, weight, gradients, rates, alter) -> list[np.ndarray]:
    """Return the weight after each step, from the formulas of the papers."""
    weights, m, v = [], np.zeros_like(weight), np.zeros_like(weight)
    for step, (g, rate) in enumerate(zip(gradients, rates, strict=True), 1):
        g = alter("gradient", step, g)
        change = g * rate
        if isinstance(optimizer, Adam):
            b1, b2 = optimizer.beta_1, optimizer.beta_2
            # As in Keras and TensorFlow, not as in the paper: Inf turns to NaN.
            m = alter("first_moment", step, m + (g - m) * (1 - b1))
            v = alter("second_moment", step, v + (g * g - v) * (1 - b2))
            # Epsilon outside the bias correction, as Keras and section 2 of the paper.
            size = rate * np.sqrt(1 - b2**step) / (1 - b1**step)
            change = size * m / (np.sqrt(v) + optimizer.epsilon)
        weight = weight - alter("output", step, change)
        weights.append(weight)
    return weights


class Updates:
    """Several updates of one weight by the optimiser under test."""

    def __init__(self, optimizer: Optimizer, dtype: str, mode: str = "graph"):
        self.optimizer, self.dtype = optimizer, dtype
        self.table = SiteTable(optimizer.sites("w", SHAPE, dtype))
        self._update = in_mode(mode, self._traced)

    def __call__(
        self, weight, gradients, rates, faults: dict[int, Descriptor] | None = None
    ) -> tuple[list[np.ndarray], list[int]]:
        slots = {s: np.zeros_like(weight) for s in self.optimizer.slots()}
        weights, counts = [], []
        for step, (g, rate) in enumerate(zip(gradients, rates, strict=True), 1):
            fault = (faults or {}).get(step, disarmed())
            weight, slots, record = self._update(
                tf.constant(weight),
                tf.constant(g),
                slots,
                tf.constant(rate, self.dtype),
                tf.constant(step, self.dtype),
                tf.constant(fault.faults),
                tf.constant(fault.words),
            )
            weights.append(weight.numpy())
            counts.append(read_record(record.numpy())[0].count)
        return weights, counts

    def _traced(self, weight, g, slots, rate, step, faults, words) -> tuple:
        context = FaultContext(self.table, tf.constant(0, tf.int64), faults, words)
        sites = context.layer("w")
        size = self.optimizer.step_size(widened(rate), widened(step))
        new = self.optimizer.update(sites, weight, g, slots, size)
        return *new, *sites.records()


def _drawn(dtype: str) -> tuple[np.ndarray, np.ndarray, list[float]]:
    rng = np.random.default_rng(7)
    weight = rng.standard_normal(SHAPE).astype(dtype)
    gradients = rng.standard_normal((STEPS, *SHAPE)).astype(dtype)
    return weight, gradients, [0.1, 0.1, 0.05, 0.02, 0.01]


def _unaltered(operand: str, step: int, x: np.ndarray) -> np.ndarray:
    return x


@pytest.mark.parametrize("mode", ["graph", "xla"])
@every_optimizer
def test_updates_equal_numpy(optimizer, mode):
    weight, gradients, rates = _drawn("float64")
    actual, counts = Updates(optimizer, "float64", mode)(weight, gradients, rates)
    expected = _numpy(optimizer, weight, gradients, rates, _unaltered)
    np.testing.assert_allclose(actual, expected, rtol=1e-13, atol=1e-13)
    assert counts == [0] * STEPS


@pytest.mark.parametrize("mode", ["graph", "xla"])
@pytest.mark.parametrize("dtype", SIXTEEN_BITS)
@every_optimizer
def test_updates_of_16_bit_weights_round_those_of_wider_ones(optimizer, dtype, mode):
    weight, gradients, rates = _drawn(dtype)
    actual, counts = Updates(optimizer, dtype, mode)(weight, gradients, rates)
    wide = weight.astype(np.float64), gradients.astype(np.float64)
    expected = _numpy(optimizer, *wide, rates, _unaltered)
    for step, (mine, want) in enumerate(zip(actual, expected, strict=True), 1):
        # Slots, change and weight are rounded in every step. A decay of 0.999 that
        # became 1 would show: the weights would not move, by 0.1 in the first step.
        atol = step * float(ml_dtypes.finfo(dtype).eps) * np.abs(want).max()
        np.testing.assert_allclose(mine.astype(np.float64), want, rtol=0, atol=atol)
    assert counts == [0] * STEPS


@pytest.mark.parametrize(
    ("optimizer", "make"),
    [(SGD(), keras.optimizers.SGD), (Adam(), keras.optimizers.Adam)],
)
def test_updates_equal_keras_with_its_defaults(optimizer, make):
    weight, gradients, rates = _drawn("float32")
    variable, peer = keras.Variable(weight), make()
    actual, _ = Updates(optimizer, "float32")(weight, gradients, rates)
    for mine, gradient, rate in zip(actual, gradients, rates, strict=True):
        peer.learning_rate = rate
        peer.apply([tf.constant(gradient)], [variable])
        # A few float32 roundings per update; weights are of order 1.
        np.testing.assert_allclose(mine, variable.numpy(), rtol=0, atol=2e-6)


@every_site
def test_a_fault_in_one_update_equals_numpy_in_all_following_ones(optimizer, operand):
    weight, gradients, rates = _drawn("float64")
    updates = Updates(optimizer, "float64")
    clean, _ = updates(weight, gradients, rates)
    site_id = updates.table.id_of(f"w/update/{operand}")
    assert updates.table[site_id].shape == SHAPE
    for position in (0, 6, 11):
        # Positive, because the second moment is one; far from what stands there.
        for value in (123.5, 0.0):
            word = to_words(np.array([value]))
            faults = {2: replacing(site_id, 0, np.array([position]), word)}
            actual, counts = updates(weight, gradients, rates, faults)
            alter = Alteration(operand, 2, position, value)
            expected = _numpy(optimizer, weight, gradients, rates, alter)
            np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12)
            assert counts == [0, 1, 0, 0, 0]
            for step in range(STEPS):
                others = np.delete(actual[step].reshape(-1), position)
                untouched = np.delete(clean[step].reshape(-1), position)
                assert_same_bits(others, untouched)
                assert (actual[step].flat[position] != clean[step].flat[position]) == (
                    step >= 1
                )


@every_site
def test_a_non_finite_fault_stays_non_finite_as_long_as_in_numpy(optimizer, operand):
    weight, gradients, rates = _drawn("float32")
    updates = Updates(optimizer, "float32")
    site_id = updates.table.id_of(f"w/update/{operand}")
    for value in (np.inf, -np.inf, np.nan, 1e30):
        word = to_words(np.array([value], np.float32))
        faults = {2: replacing(site_id, 0, np.array([5]), word)}
        actual, _ = updates(weight, gradients, rates, faults)
        alter = Alteration(operand, 2, 5, value)
        with np.errstate(all="ignore"):
            expected = _numpy(optimizer, weight, gradients, rates, alter)
        for mine, want in zip(actual, expected, strict=True):
            for test in (np.isnan, np.isposinf, np.isneginf):
                assert (test(mine) == test(want)).all(), (value, mine, want)


def test_linear_decay_goes_from_the_initial_to_the_final_rate_and_stays():
    decay = LinearDecay(final=0.0001, steps=5000)
    rates = [decay.rate(0.001, step) for step in (0, 1, 2500, 4999, 5000, 5001, 10**6)]
    slope = 0.0009 / 5000
    expected = [0.001, 0.001 - slope, 0.00055, 0.0001 + slope, 0.0001, 0.0001, 0.0001]
    assert rates == pytest.approx(expected, rel=1e-12)
    peer = keras.optimizers.schedules.PolynomialDecay(0.001, 5000, 0.0001)
    assert decay.rate(0.001, 1234) == pytest.approx(float(peer(1234)), rel=1e-6)
