# SPDX-License-Identifier: Apache-2.0
"""Random patterns are distributed as promised and are known beforehand on the host.

Every statistical test has a fixed seed, so it passes always or never, and a threshold
that a fair generator exceeds with probability ALPHA over all numbers the test compares.
"""

import statistics

import numpy as np
import pytest
import tensorflow as tf

import tpufi
from tests.modes import MODES, assert_same_bits, in_mode, injected, random_bits
from tpufi.element import ELEMENTS, to_words

ALPHA = 1e-6
DRAWS = 1 << 18
FLOATS = [name for name, e in ELEMENTS.items() if e.exponent_bits]
WITH_INFINITY = [name for name in FLOATS if ELEMENTS[name].has_infinity]
INTEGERS = [name for name, e in ELEMENTS.items() if not e.exponent_bits]


def threshold(comparisons: int) -> float:
    """Two-sided limit for standard normal numbers, after Bonferroni."""
    return statistics.NormalDist().inv_cdf(1 - ALPHA / 2 / comparisons)


def drawn(
    dtype: str, seed: tuple[int, int], finite: bool = True, draws: int = DRAWS
) -> np.ndarray:
    """Return the words that the op writes into a tensor of `draws` elements."""
    x = tf.constant(np.zeros(draws, ELEMENTS[dtype].numpy))
    return to_words(tpufi.inject_random(x, 0, draws, seed, finite=finite).numpy())


def signs(words: np.ndarray, bits: range | list[int]) -> np.ndarray:
    """Return +1 and -1 for the bits of each word, one column for each bit."""
    ones = [(words >> np.uint64(bit)) & np.uint64(1) for bit in bits]
    return np.stack(ones, 1).astype(np.float64) * 2 - 1


def assert_fair(columns: np.ndarray) -> None:
    z = columns.sum(0) / np.sqrt(len(columns))
    assert np.abs(z).max() < threshold(len(z)), z


def assert_uncorrelated(a: np.ndarray, b: np.ndarray) -> None:
    z = a.T @ b / np.sqrt(len(a))
    assert np.abs(z).max() < threshold(z.size), np.abs(z).max()


def assert_uniform(counts: np.ndarray) -> None:
    """Chi-square test, made normal by Wilson and Hilferty's cube root."""
    expected, freedom = counts.mean(), len(counts) - 1
    statistic = ((counts - expected) ** 2 / expected).sum()
    spread = 2 / (9 * freedom)
    z = ((statistic / freedom) ** (1 / 3) - (1 - spread)) / spread**0.5
    assert abs(z) < threshold(1), z


def exponents(words: np.ndarray, dtype: str) -> np.ndarray:
    """Return how often each value of the exponent field occurs."""
    layout = ELEMENTS[dtype]
    values = 1 << layout.exponent_bits
    fields = (words >> np.uint64(layout.mantissa_bits)) & np.uint64(values - 1)
    return np.bincount(fields.astype(np.int64), minlength=values)


def free_bits(dtype: str) -> list[int]:
    """Return the bits outside the exponent field."""
    layout = ELEMENTS[dtype]
    field = range(layout.mantissa_bits, layout.mantissa_bits + layout.exponent_bits)
    return [bit for bit in range(layout.bits) if bit not in field]


@pytest.mark.parametrize(
    ("dtype", "finite"),
    [*((name, True) for name in WITH_INFINITY), *((name, False) for name in FLOATS)],
)
def test_sign_and_mantissa_bits_are_fair_and_pairwise_independent(dtype, finite):
    columns = signs(drawn(dtype, (11, 12), finite), free_bits(dtype))
    assert_fair(columns)
    pairs = columns.T @ columns / np.sqrt(DRAWS)
    above = pairs[np.triu_indices(len(pairs), 1)]
    assert np.abs(above).max() < threshold(above.size)


@pytest.mark.parametrize("dtype", WITH_INFINITY)
def test_finite_exponents_are_uniform_and_never_all_ones(dtype):
    words = drawn(dtype, (21, 22))
    counts = exponents(words, dtype)
    assert counts[-1] == 0
    assert_uniform(counts[:-1])
    layout = ELEMENTS[dtype]
    values = words.astype(layout.word).view(layout.numpy)
    assert np.isfinite(values.astype(np.float64)).all()


@pytest.mark.parametrize("dtype", WITH_INFINITY)
def test_exponents_do_not_depend_on_sign_and_mantissa(dtype):
    words = drawn(dtype, (31, 32))
    low = (words >> np.uint64(ELEMENTS[dtype].mantissa_bits)) & np.uint64(1)
    columns = signs(words, free_bits(dtype))
    assert_fair(columns * (low.astype(np.float64) * 2 - 1)[:, None])


def test_finite_patterns_of_a_type_without_infinity_are_all_but_nan():
    counts = np.bincount(drawn("float8_e4m3fn", (21, 22)).astype(np.int64))
    counts = np.pad(counts, (0, 256 - len(counts)))
    nan, below = [0x7F, 0xFF], [0x7E, 0xFE]
    assert not counts[nan].any()
    # NaN became the number below it, which so occurs twice as often as any other.
    counts[nan] = counts[below] // 2
    counts[below] -= counts[nan]
    assert_uniform(counts)


@pytest.mark.parametrize("dtype", FLOATS)
def test_any_pattern_means_inf_and_nan_as_often_as_their_exponent_is_due(dtype):
    counts = exponents(drawn(dtype, (41, 42), finite=False), dtype)
    assert_uniform(counts)
    share = 1 / len(counts)
    z = (counts[-1] - DRAWS * share) / np.sqrt(DRAWS * share * (1 - share))
    assert abs(z) < threshold(1)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_are_uniform(dtype):
    words = drawn(dtype, (51, 52))
    bits = ELEMENTS[dtype].bits
    assert_fair(signs(words, range(bits)))
    for byte in range(bits // 8):
        values = (words >> np.uint64(8 * byte)) & np.uint64(255)
        assert_uniform(np.bincount(values.astype(np.int64), minlength=256))


@pytest.mark.parametrize("seed", [(60, 62), (61, 63), (62, 61), (61 | 1 << 31, 62)])
def test_neighbouring_elements_and_neighbouring_seeds_are_uncorrelated(seed):
    here, there = (
        signs(drawn("uint64", key, draws=1 << 16), range(64))
        for key in ((61, 62), seed)
    )
    assert_uncorrelated(here[:-1], here[1:])
    assert_uncorrelated(here, there)
    assert_uncorrelated(here[:-1], there[1:])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", ELEMENTS)
def test_the_host_knows_the_bits_in_every_mode(dtype, mode):
    shape, rng = (5, 11), np.random.default_rng(71)
    x = random_bits(rng, shape, dtype)
    function = in_mode(
        mode,
        lambda x, start, count, seed, finite: tpufi.inject_random(
            x, start, count, seed, finite=finite
        ),
    )
    for start, count in ((0, 55), (0, 0), (54, 1), (13, 20), (7, 48)):
        for finite in (True, False):
            seed = tuple(int(s) for s in rng.integers(0, 1 << 32, 2))
            words = tpufi.random_patterns(dtype, seed, start, count, finite)
            y = function(
                tf.constant(x),
                tf.constant(start, tf.int64),
                tf.constant(count, tf.int64),
                tf.constant(seed, tf.uint32),
                tf.constant(finite),
            )
            want = injected(
                x, start, count, lambda _, i, w=words, s=start: int(w[i - s])
            )
            assert_same_bits(y.numpy(), want)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", ["float64", "bfloat16", "uint8"])
def test_the_host_knows_the_bits_of_a_long_run_that_kernels_split(dtype, mode):
    size, start, count = 300_007, 12_345, 250_001
    function = in_mode(mode, lambda x, s, c: tpufi.inject_random(x, s, c, (91, 92)))
    run = tf.constant(start, tf.int64), tf.constant(count, tf.int64)
    y = to_words(function(tf.zeros([size], dtype), *run).numpy())
    expected = tpufi.random_patterns(dtype, (91, 92), start, count)
    np.testing.assert_array_equal(y[start : start + count], expected)
    assert not y[:start].any() and not y[start + count :].any()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_an_element_does_not_depend_on_start_count_or_shape(dtype, mode):
    function = in_mode(mode, lambda x, s, c: tpufi.inject_random(x, s, c, (81, 82)))
    numbers = [tf.constant(i, tf.int64) for i in range(61)]
    whole = to_words(function(tf.zeros([60], dtype), numbers[0], numbers[60]).numpy())
    assert len(set(whole.tolist())) > 50
    for shape in ((60,), (3, 4, 5)):
        for start, count in ((0, 1), (59, 1), (20, 30)):
            y = function(tf.zeros(shape, dtype), numbers[start], numbers[count])
            y, end = to_words(y.numpy()).ravel(), start + count
            np.testing.assert_array_equal(y[start:end], whole[start:end])
            assert not y[:start].any() and not y[end:].any()


def test_a_tensor_seed_and_a_tuple_give_the_same_bits():
    x = tf.zeros([100])
    pair = tpufi.inject_random(x, 0, 100, (0xFFFFFFFF, 5))
    tensor = tpufi.inject_random(x, 0, 100, tf.constant([0xFFFFFFFF, 5], tf.uint32))
    assert_same_bits(pair.numpy(), tensor.numpy())
