# SPDX-License-Identifier: Apache-2.0
"""All 256 patterns of both float8 types, under every operation and in all modes.

What numbers become is computed in float64, which holds sums and products of float8
numbers exactly, and rounded to the type once.
"""

import functools

import numpy as np
import pytest
import tensorflow as tf

import tpufi
from tests.fault_reference import errors
from tests.modes import MODES, in_mode
from tpufi.descriptor import fault_row, read_record
from tpufi.element import ELEMENTS, from_words, to_words
from tpufi.ops import inject_fault
from tpufi.random import random_patterns, words

TYPES = ("float8_e5m2", "float8_e4m3fn")
SITE, SHAPE, SIZE = 3, (16, 16), 256
ALL = np.arange(SIZE, dtype=np.uint64)
KEY = 0x0123456789ABCDEF
PAIR = (KEY & 0xFFFFFFFF, KEY >> 32)
of_both_types_in_all_modes = [
    pytest.mark.parametrize("dtype", TYPES),
    pytest.mark.parametrize("mode", MODES),
]


def everywhere(test):
    for mark in of_both_types_in_all_modes:
        test = mark(test)
    return test


@functools.cache
def site(mode: str):
    return in_mode(mode, lambda x, f, w: inject_fault(x, SITE, 0, f, w))


def patterns(dtype: str) -> np.ndarray:
    """Return the element with the bits i at the flat index i."""
    return from_words(ALL, dtype).reshape(SHAPE)


def inject(mode: str, dtype: str, operation: str, start=0, count=SIZE, **how):
    """Return the bits of all patterns after a fault; the record is checked."""
    d = fault_row(site=SITE, replica=0, start=start, count=count,
                  operation=operation, **how)  # fmt: skip
    y, record = site(mode)(tf.constant(patterns(dtype)), d.faults, d.words)
    assert y.dtype.name == dtype and y.shape == SHAPE
    (injected,) = read_record(record.numpy())
    assert injected.count == count
    assert injected.golden.tolist() == ALL[start : start + count][:64].tolist()
    return to_words(y.numpy()).reshape(-1)


@everywhere
def test_a_flip_is_integer_xor_with_every_mask(dtype, mode):
    for mask in range(SIZE):
        y = inject(mode, dtype, "flip", words=[mask])
        np.testing.assert_array_equal(y, ALL ^ np.uint64(mask))


@everywhere
def test_zero_writes_no_bit(dtype, mode):
    assert not inject(mode, dtype, "zero").any()
    y = inject(mode, dtype, "zero", 100, 50)
    np.testing.assert_array_equal(y, np.where((ALL < 100) | (ALL >= 150), ALL, 0))


@everywhere
def test_replace_keeps_the_bits_it_is_told_to(dtype, mode):
    for keep in (0, 0xFF, 0x7F, 0x80, 0x55, (1 << 64) - 1):
        for word in (0, 1, 0x7F, 0x80, 0xFF):
            y = inject(mode, dtype, "replace", keep=keep, words=[word])
            kept = ALL & np.uint64(keep & 0xFF)
            np.testing.assert_array_equal(y, kept ^ np.uint64(word))


@everywhere
def test_each_element_takes_its_own_word(dtype, mode):
    own = np.random.default_rng(1).integers(0, SIZE, 64)
    for start in (0, 64, 192):
        here = slice(start, start + 64)
        expected = ALL.copy()
        expected[here] = own
        y = inject(mode, dtype, "replace", start, 64, words=own.tolist())
        np.testing.assert_array_equal(y, expected)
        # The element at a flat index has the bits of its number.
        y = inject(mode, dtype, "copy", start, 64, words=own.tolist())
        np.testing.assert_array_equal(y, expected)


@everywhere
def test_what_is_drawn_is_what_the_host_draws(dtype, mode):
    for operation, finite in (("random", True), ("random_bits", False)):
        y = inject(mode, dtype, operation, words=[KEY])
        drawn = random_patterns(dtype, PAIR, 0, SIZE, finite)
        np.testing.assert_array_equal(y, drawn)
        numbers = from_words(y, dtype).astype(np.float64)
        assert np.isfinite(numbers).all() == finite
    y = inject(mode, dtype, "copy_random", words=[KEY])
    np.testing.assert_array_equal(y, words(PAIR, 0, SIZE) % np.uint64(SIZE))
    always = inject(mode, dtype, "error_rate", keep=0x3C, words=[KEY, 1 << 32])
    np.testing.assert_array_equal(always, ALL ^ np.uint64(0x3C))
    half = inject(mode, dtype, "error_rate", keep=0xFF, words=[KEY, 1 << 31])
    flips = [errors(PAIR, i, 1 << 31, 8) for i in range(SIZE)]
    np.testing.assert_array_equal(half, ALL ^ np.array(flips, np.uint64))


@everywhere
@pytest.mark.parametrize("operation", ["add", "multiply"])
def test_arithmetic_rounds_the_exact_result_of_every_pair_once(operation, dtype, mode):
    layout = ELEMENTS[dtype]
    numbers = patterns(dtype).reshape(-1).astype(np.float64)
    for word in range(SIZE):
        with np.errstate(all="ignore"):
            other = numbers[word]
            exact = numbers + other if operation == "add" else numbers * other
            expected = exact.astype(layout.numpy)
        is_nan = np.isnan(expected.astype(np.float64))
        expected = np.where(is_nan, np.uint64(layout.nan), to_words(expected))
        y = inject(mode, dtype, operation, words=[word])
        np.testing.assert_array_equal(y, expected, err_msg=f"{word:#x}")


@everywhere
def test_the_ops_of_one_run_write_the_same_bits(dtype, mode):
    x, run = tf.constant(patterns(dtype)), (100, 50)
    inside = (ALL >= 100) & (ALL < 150)

    def ops(x):
        return (
            *(tpufi.flip_bits(x, *run, 1 << bit) for bit in range(8)),
            tpufi.zero_out(x, *run),
            *(tpufi.inject_random(x, *run, PAIR, finite=f) for f in (True, False)),
        )

    written = [
        *(ALL ^ np.uint64(1 << bit) for bit in range(8)),
        np.zeros_like(ALL),
        *(random_patterns(dtype, PAIR, 0, SIZE, f) for f in (True, False)),
    ]
    for y, new in zip(in_mode(mode, ops)(x), written, strict=True):
        bits = to_words(y.numpy()).reshape(-1)
        np.testing.assert_array_equal(bits, np.where(inside, new, ALL))


@pytest.mark.parametrize("dtype", TYPES)
def test_the_pattern_of_nan_is_one_and_has_the_sign_zero(dtype):
    layout = ELEMENTS[dtype]
    nan = from_words(np.array([layout.nan]), dtype).astype(np.float64)
    assert np.isnan(nan).all() and layout.nan < 0x80
    assert layout.has_infinity == bool(np.isinf(patterns(dtype).astype(float)).any())
