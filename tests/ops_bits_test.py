# SPDX-License-Identifier: Apache-2.0
"""The ops write exactly the bits they promise, in every mode."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

import tpufi
from tests.modes import MODES, assert_same_bits, in_mode, injected, random_bits
from tpufi.element import ELEMENTS, to_words

# (shape, dtype) of one traced program each; ranks 0 to 6, scalars and empty tensors.
SHAPES = ((), (1,), (37,), (0,), (5, 7), (3, 0, 2), (2, 3, 5), (2, 3, 4, 5), (1,) * 5,
          (2, 1, 3, 2, 2), (2, 2, 1, 3, 1, 2))  # fmt: skip
PROGRAMS = [
    (shape, dtype)
    for (i, shape), (j, dtype) in itertools.product(
        enumerate(SHAPES), enumerate(ELEMENTS)
    )
    if (i + j) % 2 == 0 or dtype in ("float32", "bfloat16")
]
CASES = 5000


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_every_pattern_and_every_single_bit_flip_equals_integer_xor(dtype, mode):
    patterns = np.arange(1 << 16, dtype=np.uint16)
    x = tf.constant(patterns.view(ELEMENTS[dtype].numpy))
    flip = in_mode(mode, lambda mask: tpufi.flip_bits(x, 0, 1 << 16, mask))
    for bit in range(16):
        y = flip(tf.constant(1 << bit, tf.uint16)).numpy()
        assert (y.view(np.uint16) == patterns ^ np.uint16(1 << bit)).all(), bit


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nan_payloads_signed_zeros_and_denormals_survive(dtype, mode):
    layout = ELEMENTS[dtype]
    top = ((1 << layout.exponent_bits) - 1) << layout.mantissa_bits
    sign = 1 << (layout.bits - 1)
    words = [top | 1, top | sign | 5, top, sign, 0, 1, sign | 1, top - 1]
    x = np.array(words, layout.word).view(layout.numpy)
    flip = in_mode(mode, lambda t, m: tpufi.flip_bits(t, 2, 4, m))
    for mask in (0, 1, 2, sign, top, layout.mask):
        expected = injected(x, 2, 4, lambda word, _, mask=mask: word ^ mask)
        assert_same_bits(flip(tf.constant(x), tf.constant(mask, tf.uint64)), expected)


def test_5000_random_faults_agree_in_all_modes_and_with_numpy():
    rng = np.random.default_rng(20230617)
    per_program = -(-CASES // len(PROGRAMS))
    done = 0
    for shape, dtype in PROGRAMS:
        mask_limit = ELEMENTS[dtype].mask
        functions = [
            in_mode(
                mode,
                lambda x, start, count, mask, key: (
                    tpufi.flip_bits(x, start, count, mask),
                    tpufi.zero_out(x, start, count),
                    tpufi.inject_random(x, start, count, key),
                ),
            )
            for mode in MODES
        ]
        size = int(np.prod(shape))
        for _ in range(per_program):
            x = random_bits(rng, shape, dtype)
            start = int(rng.integers(0, size + 1))
            count = int(rng.integers(0, size - start + 1))
            mask = int(rng.integers(0, 1 << 64, dtype=np.uint64)) & mask_limit
            key = tuple(int(k) for k in rng.integers(0, 1 << 32, 2))
            drawn = tpufi.random_patterns(dtype, key, start, count)
            expected = (
                injected(x, start, count, lambda word, _, mask=mask: word ^ mask),
                injected(x, start, count, lambda *_: 0),
                injected(x, start, count, lambda _, i, d=drawn, s=start: int(d[i - s])),
            )
            arguments = (
                tf.constant(x),
                tf.constant(start, tf.int64),
                tf.constant(count, tf.int64),
                tf.constant(mask, tf.uint64),
                tf.constant(key, tf.uint32),
            )
            for function in functions:
                for y, want in zip(function(*arguments), expected, strict=True):
                    assert_same_bits(y.numpy(), want)
            done += 1
    assert done >= CASES


def test_the_input_tensor_is_never_changed():
    x = tf.constant([1.0, 2.0, 3.0])
    tpufi.zero_out(x, 0, 3)
    tf.function(lambda t: tpufi.zero_out(t, 0, 3))(x)
    np.testing.assert_array_equal(x.numpy(), [1.0, 2.0, 3.0])


def test_a_value_that_is_used_again_is_copied_not_overwritten():
    @tf.function
    def both(x):
        hidden = x * 2.0
        return tpufi.zero_out(hidden, 0, 2), hidden

    faulty_values, hidden = both(tf.constant([1.0, 2.0, 3.0]))
    np.testing.assert_array_equal(faulty_values.numpy(), [0.0, 0.0, 6.0])
    np.testing.assert_array_equal(hidden.numpy(), [2.0, 4.0, 6.0])


def test_a_thousand_different_faults_need_one_trace():
    traces = []

    @tf.function
    def faulty(x, start, count, mask, key):
        traces.append(1)
        x = tpufi.flip_bits(x, start, count, mask)
        x = tpufi.inject_random(x, start, count, key)
        return tpufi.zero_out(x, start, count)

    rng = np.random.default_rng(1)
    x = tf.zeros([100])
    for _ in range(1000):
        start = int(rng.integers(0, 100))
        count = int(rng.integers(0, 100 - start + 1))
        faulty(
            x,
            tf.constant(start, tf.int64),
            tf.constant(count, tf.int64),
            tf.constant(int(rng.integers(0, 1 << 32)), tf.uint32),
            tf.constant(rng.integers(0, 1 << 32, 2), tf.uint32),
        )
    assert len(traces) == 1


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_tensors_of_more_than_2_31_elements_are_faulty_at_the_far_end(mode):
    size = (1 << 31) + 64
    x = tf.zeros([size], tf.uint8)
    y = in_mode(mode, lambda t, start: tpufi.flip_bits(t, start, 8, 0x81))(
        x, tf.constant(size - 8, tf.int64)
    )
    values = y.numpy()  # On the CPU a view; TensorFlow's own count would need 17 GB.
    assert (values[-8:] == 0x81).all()
    assert np.count_nonzero(values) == 8
    del y, values
    z = in_mode(mode, lambda t, start: tpufi.inject_random(t, start, 8, (3, 4)))(
        x, tf.constant(size - 8, tf.int64)
    )
    drawn = tpufi.random_patterns("uint8", (3, 4), size - 8, 8)
    assert (to_words(z.numpy()[-8:]) == drawn).all()
