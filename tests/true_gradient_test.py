# SPDX-License-Identifier: Apache-2.0
"""The option `true` of flip_bits is the derivative of what the flip computes."""

import fractions

import numpy as np
import pytest
import tensorflow as tf

import tpufi
from tests.modes import MODES, assert_same_bits, in_mode, random_bits
from tpufi.element import ELEMENTS, from_words, to_words

# Of float8 TensorFlow takes no gradients.
FLOATS = [name for name, e in ELEMENTS.items() if e.exponent_bits and e.bits > 8]
NAN = float("nan")


def true_gradient(x, upstream, mask):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tpufi.flip_bits(x, 0, x.shape[0], mask, gradient="true")
    return tape.gradient(y, x, output_gradients=upstream)


def flip(mode: str, x: np.ndarray, upstream: np.ndarray, mask: int) -> np.ndarray:
    function = in_mode(mode, true_gradient)
    return function(
        tf.constant(x), tf.constant(upstream), tf.constant(mask, tf.uint64)
    ).numpy()


def smallest_normal(dtype: str) -> float:
    return 2.0 ** (2 - (1 << (ELEMENTS[dtype].exponent_bits - 1)))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", FLOATS)
def test_a_flip_of_sign_is_minus_one_of_mantissa_one_of_exponent_a_power(dtype, mode):
    layout = ELEMENTS[dtype]
    low, top, sign = layout.mantissa_bits, layout.bits - 2, layout.bits - 1
    x = np.array([1, 1.25, -1.5, 1.75]).astype(layout.numpy)
    ones = np.ones(4).astype(layout.numpy)
    assert_same_bits(flip(mode, x, ones, 1 << sign), -ones)
    assert_same_bits(flip(mode, x, ones, 1 << (low - 1)), ones)
    assert_same_bits(flip(mode, x, ones, 0), ones)
    # The exponent field of [1, 2) is 0b01...1: flips below its top bit lower it ...
    for bit in (0, 1, layout.exponent_bits - 2):
        expected = np.full(4, 2.0 ** -(1 << bit)).astype(layout.numpy)
        assert_same_bits(flip(mode, x, ones, 1 << (low + bit)), expected)
    # ... and the flip of its top bit gives Inf or NaN.
    assert np.isnan(flip(mode, x, ones, 1 << top).astype(float)).all()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", FLOATS)
def test_subnormals_have_the_slope_of_their_spacing_and_inf_and_nan_none(dtype, mode):
    layout = ELEMENTS[dtype]
    unit = 1 << layout.mantissa_bits  # Adds one to the exponent field.
    top = ((1 << layout.exponent_bits) - 1) * unit
    cases = {  # Mask -> (old bits, slope). Field 0 is spaced as field 1.
        unit: ((1, 1), (unit | 1, 1), (2 * unit, 2), (3 * unit, 0.5), (top, NAN)),
        2 * unit: ((1, 2), (2 * unit | 1, 0.5), (unit, 4), (top | 1, NAN)),
        1: ((0, 1), (1, 1), (top - unit, 1), (top, NAN), (top | 3, NAN)),
        top - unit: ((unit, NAN), (top, NAN), (top | 1, NAN)),
        1 << (layout.bits - 1): ((0, -1), (1, -1), (unit, -1), (top, NAN)),
    }
    for mask, pairs in cases.items():
        x = np.array([old for old, _ in pairs], layout.word).view(layout.numpy)
        actual = flip(mode, x, np.ones(len(x)).astype(layout.numpy), mask)
        np.testing.assert_array_equal(actual.astype(float), [s for _, s in pairs])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", FLOATS)
def test_a_slope_beyond_the_range_of_the_type_still_gives_products_inside_it(
    dtype, mode
):
    layout = ELEMENTS[dtype]
    fields = (1 << layout.exponent_bits) - 1
    # Exponent field 1 <-> fields - 1: the largest change, its slope overflows.
    ends = [1 << layout.mantissa_bits, (fields - 1) << layout.mantissa_bits]
    small, large = np.array(ends, layout.word).view(layout.numpy)
    mask = ends[0] ^ ends[1]
    x = np.array([small, large, small, large], layout.numpy)
    upstream = np.array([small, large, 0, 0], layout.numpy)
    expected = np.array([large, small, 0, 0], layout.numpy)
    assert_same_bits(flip(mode, x, upstream, mask), expected)


def slope(dtype: str, old: int, mask: int, free: int) -> fractions.Fraction | None:
    """Return the slope of the flip at `old` as a difference quotient in rationals.

    The neighbour differs in the mantissa bit `free`, which is not in the mask.
    """
    layout = ELEMENTS[dtype]
    points = []
    for word in (old, old ^ 1 << free):
        pair = np.array([word, word ^ mask], layout.word).view(layout.numpy)
        values = [float(value) for value in pair]
        if not np.isfinite(values).all():
            return None
        points.append([fractions.Fraction(value) for value in values])
    (x, y), (next_x, next_y) = points
    return (next_y - y) / (next_x - x)


def rounded(value: fractions.Fraction, dtype: str) -> float:
    try:
        wide = float(value)
    except OverflowError:
        wide = np.inf if value > 0 else -np.inf
    with np.errstate(over="ignore"):
        return float(np.array(wide).astype(ELEMENTS[dtype].numpy))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", FLOATS)
def test_the_gradient_is_the_difference_quotient_of_the_flip(dtype, mode):
    layout, rng = ELEMENTS[dtype], np.random.default_rng(3)
    function, tiny = in_mode(mode, true_gradient), smallest_normal(dtype)
    finite = 0
    for case in range(25):
        free = int(rng.integers(0, layout.mantissa_bits))
        mask = int(rng.integers(1, 1 << 64, dtype=np.uint64)) & layout.mask
        mask &= ~(1 << free)
        x = random_bits(rng, (40,), dtype)
        # Kernels may flush subnormal numbers to zero, so there are none upstream.
        upstream = from_words(tpufi.random_patterns(dtype, (4, case), 0, 40), dtype)
        upstream[np.abs(upstream.astype(float)) < tiny] = 0
        actual = function(
            tf.constant(x), tf.constant(upstream), tf.constant(mask, tf.uint64)
        ).numpy()
        for old, dy, result in zip(to_words(x), upstream, actual, strict=True):
            ratio = slope(dtype, int(old), mask, free)
            if ratio is None:
                assert np.isnan(float(result))
                continue
            expected = rounded(fractions.Fraction(float(dy)) * ratio, dtype)
            flushed = abs(expected) < tiny and result == 0
            assert float(result) == expected or flushed, (
                hex(old),
                hex(mask),
                dy,
                result,
            )
            finite += 1
    assert finite > 500


@pytest.mark.parametrize("mode", MODES)
def test_elements_that_are_not_injected_pass_the_gradient_on_bit_for_bit(mode):
    inf, payload = 0x7F800000, 0x7F800001
    x = np.array([payload, inf, 0, 0, 0, 1, 0x3F800000], np.uint32).view(np.float32)
    upstream = np.array([1, payload, 0, 0, 0, 1, inf], np.uint32).view(np.float32)

    def back(x, upstream):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tpufi.flip_bits(x, 2, 3, 1 << 31, gradient="true")
        return tape.gradient(y, x, output_gradients=upstream)

    actual = in_mode(mode, back)(tf.constant(x), tf.constant(upstream)).numpy()
    outside = [0, 1, 5, 6]
    assert_same_bits(actual[outside], upstream[outside])
