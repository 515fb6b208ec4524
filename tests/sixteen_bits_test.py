# SPDX-License-Identifier: Apache-2.0
"""Layers and a whole training step whose numbers, and sites, have 16 bits."""

import dataclasses
import functools

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf

from tests.disarmed_steps import check_disarmed_steps
from tests.layer_cases import ONE_OF_EACH, SIXTEEN_BITS, Case, Values
from tests.layer_program import layer_program
from tests.modes import assert_same_bits, in_mode
from tests.one_replica import replica_passes
from tests.rows import changing
from tests.textbook import textbook
from tests.tiny_workload import TINY, tiny_batch
from tpufi.data.batches import Batch
from tpufi.descriptor import Descriptor, disarmed, read_record
from tpufi.element import element, to_words
from tpufi.layers import BatchNorm, SkipGain
from tpufi.optimizers import SGD
from tpufi.training import Program, initial_state, same_state
from tpufi.training.determinism import exact_arithmetic
from tpufi.training.state import to_arrays
from tpufi.workload import Workload

RATE = 0.01
REPLICAS, PER_REPLICA = 2, 4
in_both = pytest.mark.parametrize("dtype", SIXTEEN_BITS)
in_modes = pytest.mark.parametrize("mode", ["graph", "xla"])
# Compiling a training step takes a minute.
in_slow_modes = pytest.mark.parametrize(
    "mode", ["graph", pytest.param("xla", marks=pytest.mark.slow)]
)
# The scope lets the tests of a layer follow one another, with its programs in memory.
each_layer = pytest.mark.parametrize(
    "case", ONE_OF_EACH, ids=lambda c: c.kind, scope="module"
)
# Sites of the tiny workload in all directions; of a convolution also operands that only
# the reference form has.
FAULTY = (
    "conv1/forward/output",
    "block_conv1/grad_in/weight",
    "conv1/grad_wt/weight",
    "bn1/forward/variance",
    "bn1/grad_in/output",
    "block_conv2/forward/weight",
    "block_conv2/grad_in/input",
    "block_conv2/grad_wt/output",
    "fc/kernel/update/gradient",
    "fc/kernel/update/first_moment",
    "fc/kernel/update/second_moment",
    "fc/kernel/update/output",
)


def _unaltered(direction: str, operand: str, x: np.ndarray) -> np.ndarray:
    return x


def _widened(values: Values) -> Values:
    """The same numbers in float64."""

    def wide(x: np.ndarray) -> np.ndarray:
        return x.astype(np.float64) if x.dtype.name in SIXTEEN_BITS else x

    return dataclasses.replace(
        values,
        x=wide(values.x),
        parameters={name: wide(w) for name, w in values.parameters.items()},
        statistics={name: wide(s) for name, s in values.statistics.items()},
        dy=wide(values.dy),
    )


def _summed_exactly(case: Case, values: Values) -> Values:
    """Let the one gradient of a skip gain be the same in any order of addition.

    Some processors add in 16 bits, and a sum over a whole tensor may cancel to less
    than its roundings. Of -1, 0 and 1 every partial sum is exact up to 2**8 terms.
    """
    if not isinstance(case.layer, SkipGain):
        return values
    assert values.x.size <= 2**8

    def whole(x: np.ndarray) -> np.ndarray:
        return np.clip(np.rint(x.astype(float)), -1, 1).astype(x.dtype)

    return dataclasses.replace(values, x=whole(values.x), dy=whole(values.dy))


@in_modes
@in_both
@each_layer
def test_layers_round_what_they_compute_in_float64(case: Case, dtype, mode):
    values = _summed_exactly(case, Values.drawn(case, dtype))
    with exact_arithmetic():
        actual = layer_program(case, dtype, mode)(values).results
    expected = textbook(case, _widened(values), _unaltered)
    assert actual.keys() == expected.keys()
    for name, want in expected.items():
        assert actual[name].dtype.name == dtype, name
        # Several operations may round, and sums may cancel, but not by much: the
        # tensors are small, so the largest element bounds their terms.
        atol = 8 * float(ml_dtypes.finfo(dtype).eps) * np.abs(want).max(initial=0.1)
        np.testing.assert_allclose(
            actual[name].astype(np.float64), want, rtol=0, atol=atol, err_msg=name
        )


@in_modes
@in_both
@each_layer
def test_a_disarmed_layer_equals_one_without_sites(case: Case, dtype, mode):
    values = Values.drawn(case, dtype)
    with exact_arithmetic():
        ours = layer_program(case, dtype, mode)(values)
        theirs = layer_program(case, dtype, mode, with_sites=False)(values).results
    assert ours.injected.count == 0
    for name, want in theirs.items():
        if mode == "graph":
            assert_same_bits(ours.results[name], want)
            continue
        # XLA fuses the two programs in two ways (decision 0009).
        want = want.astype(np.float64)
        atol = 4 * float(ml_dtypes.finfo(dtype).eps) * np.abs(want).max(initial=0)
        actual = ours.results[name].astype(np.float64)
        np.testing.assert_allclose(actual, want, rtol=0, atol=atol, err_msg=name)


@in_modes
@in_both
def test_a_batch_norm_of_images_far_from_zero_keeps_their_variance(dtype, mode):
    case = Case(BatchNorm("bn"), (8, 8, 3), 4)
    drawn = Values.drawn(case, dtype)
    values = dataclasses.replace(drawn, x=(drawn.x.astype(float) + 50).astype(dtype))
    # In 16 bits the squares of these are exact to 8 or to 2, and the variance is 1.
    actual = layer_program(case, dtype, mode)(values).results
    expected = textbook(case, _widened(values), _unaltered)
    eps = float(ml_dtypes.finfo(dtype).eps)
    for name in ("output", "gradient/input", "statistics/bn/moving_variance"):
        want = expected[name]
        # float32 itself keeps the variance to 50**2 * 2**-24 or so, far below eps.
        atol = 4 * eps * np.abs(want).max()
        np.testing.assert_allclose(actual[name].astype(float), want, rtol=0, atol=atol)


def _tiny(dtype: str) -> Workload:
    return dataclasses.replace(TINY, dtype=dtype, input_dtype=dtype)


def _batch(dtype: str, seed: int = 0) -> tuple[Batch, np.ndarray]:
    batch, keys = tiny_batch(REPLICAS, PER_REPLICA, seed)
    return batch._replace(images=batch.images.astype(dtype)), keys


@functools.cache
def _program(dtype: str, mode: str) -> Program:
    workload = _tiny(dtype)
    return Program(workload, REPLICAS, PER_REPLICA, compiled=mode == "xla")


def _flip(program: Program, name: str, position: int, bit: int) -> Descriptor:
    site_id = program.table.id_of(name)
    replica = 0 if "/update/" in name else 1
    return changing(site_id, replica, position, 1, keep=-1, word=1 << bit)


@in_both
def test_disarmed_steps_equal_steps_without_sites_by_bits(dtype):
    check_disarmed_steps(_tiny(dtype))


@in_slow_modes
@in_both
def test_a_workload_trains_in_its_type(dtype, mode):
    program = _program(dtype, mode)
    batch, keys = _batch(dtype)
    state, losses = initial_state(program.workload, 1), []
    before = to_arrays(state)
    for _ in range(20):
        result = program.step(state, batch, keys, RATE)
        losses.append(result.loss)
        state = result.state
    assert losses[-1] < 0.7 * losses[0], losses
    for name, array in to_arrays(state).items():
        assert array.dtype.name == (dtype if name != "updates" else "int64"), name
        assert not name.startswith("parameters") or (array != before[name]).any(), name
    assert program.traces <= 2


@in_slow_modes
@in_both
@pytest.mark.parametrize("name", FAULTY)
def test_a_flipped_bit_is_recorded_and_changes_the_step(name, dtype, mode):
    program, (batch, keys) = _program(dtype, mode), _batch(dtype)
    # After a step, slots are not zero.
    state = program.step(initial_state(program.workload, 1), batch, keys, RATE).state
    clean = program.step(state, batch, keys, RATE, disarmed())
    site = program.table[program.table.id_of(name)]
    bits = element(site.dtype).bits
    fault = _flip(program, name, site.size // 2, bits - 2)
    result = program.step(state, batch, keys, RATE, fault)
    (injected,) = read_record(result.record)
    assert injected.count == 1
    assert int(injected.golden[0]) < 1 << bits
    # The top bit of an exponent cannot be overlooked unless the element counts for
    # nothing, as the zeros between the pixels of a gradient do.
    assert not same_state(result.state, clean.state)


@in_slow_modes
@in_both
@pytest.mark.parametrize("operand", ["first_moment", "second_moment", "output"])
def test_a_flip_in_an_update_changes_one_element_of_one_tensor(operand, dtype, mode):
    program, (batch, keys) = _program(dtype, mode), _batch(dtype)
    state = initial_state(program.workload, 1)
    clean = to_arrays(program.step(state, batch, keys, RATE, disarmed()).state)
    position, sign = 3, element(dtype).bits - 1
    fault = _flip(program, f"fc/kernel/update/{operand}", position, sign)
    result = program.step(state, batch, keys, RATE, fault)
    (injected,) = read_record(result.record)
    for name, array in to_arrays(result.state).items():
        old, new = (
            to_words(np.atleast_1d(a)).reshape(-1) for a in (clean[name], array)
        )
        if name == f"slots/fc/kernel/{operand}":
            assert old[position] == injected.golden[0]
            assert new[position] == injected.golden[0] ^ (1 << sign)
        changed = np.flatnonzero(old != new).tolist()
        if name == "parameters/fc/kernel" or name == f"slots/fc/kernel/{operand}":
            assert changed == [position], name
        else:
            assert not changed, name


@in_slow_modes
@in_both
def test_a_flip_in_a_weight_gradient_changes_that_element_alone(dtype, mode):
    workload = dataclasses.replace(_tiny(dtype), optimizer=SGD())
    state, table = initial_state(workload, 1), workload.sites(PER_REPLICA)
    batch, keys = _batch(dtype)

    def traced(faults: tf.Tensor, words: tf.Tensor) -> tuple[dict, tf.Tensor]:
        inputs = batch.images[0], batch.labels[0], keys[0]
        found = replica_passes(
            *(workload, state, inputs, (faults, words), REPLICAS),
            compiled=mode == "xla",
        )
        return found.gradients, found.record

    run = in_mode(mode, traced)
    for layer in ("conv1", "block_downsample", "fc"):
        site = table[table.id_of(f"{layer}/grad_wt/output")]
        position, bit = site.size - 1, 5
        fault = changing(table.id_of(site.name), 0, position, 1, keep=-1, word=1 << bit)
        none = disarmed()
        clean, _ = run(tf.constant(none.faults), tf.constant(none.words))
        gradients, record = run(tf.constant(fault.faults), tf.constant(fault.words))
        (injected,) = read_record(record.numpy())
        assert injected.count == 1
        for name, gradient in gradients.items():
            words = to_words(clean[name].numpy()).reshape(-1)
            if name == f"{layer}/kernel":
                # The last element is the last one in the transposed layout as well.
                if mode == "graph":
                    assert words[-1] == injected.golden[0]
                words[-1] ^= np.uint64(1 << bit)
            assert (to_words(gradient.numpy()).reshape(-1) == words).all(), name
