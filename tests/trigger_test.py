# SPDX-License-Identifier: Apache-2.0
"""Faults that depend on the values of elements, against numpy's numbers."""

import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fault_reference import new_bits
from tests.fault_rules_test import normal_bits
from tests.modes import MODES, assert_same_bits, in_mode, random_bits
from tests.prepare_faults_test import DTYPES, NOTED, SHAPE, compiled
from tpufi.descriptor import OPERATIONS, fault_row, record_numbers, words_for_all
from tpufi.element import ELEMENTS, element, from_words, to_words
from tpufi.errors import InputError
from tpufi.ops import inject_fault
from tpufi.value_ranges import is_triggered, trigger_of

FLOATS = tuple(name for name, e in ELEMENTS.items() if e.exponent_bits)
SIZE, START, COUNT, STRIDE = 84, 3, 40, 2
INF = math.inf
CONDITIONS = (
    ((-1.0, 1.0), ()),
    ((0.25, INF), ()),
    ((-INF, -0.5), ()),
    ((0.0, 0.0), ()),
    (None, (0,)),
    (None, (-3, -2, 1, 3)),
    ((-2.0, 0.75), (-1, 0)),
)


def exponents_of(x: np.ndarray) -> np.ndarray:
    """Return the exponents of floats, from their values and their type's limits."""
    layout = element(x.dtype.name)
    bias = (1 << layout.exponent_bits - 1) - 1
    wide = np.abs(x.astype(np.float64))
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.frexp(wide)[1] - 1
    found = np.where(wide < 2.0 ** (1 - bias), -bias, found)
    top = bias + 1
    return np.where(np.isfinite(wide), found, top)


def fulfils(x: np.ndarray, between, exponents) -> np.ndarray:
    wide = x if x.dtype.kind in "iu" else x.astype(np.float64)
    found = np.ones(x.shape, bool)
    if between is not None:
        found &= (wide >= between[0]) & (wide <= between[1])
    if exponents:
        found &= np.isin(exponents_of(x), exponents)
    return found


def values(dtype: str) -> np.ndarray:
    """Return numbers near 1, and all kinds of bits."""
    rng = np.random.default_rng(3)
    x = random_bits(rng, (SIZE,), dtype)
    near = rng.normal(size=SIZE // 2)
    if ELEMENTS[dtype].exponent_bits:
        x[1::2] = normal_bits(rng, (SIZE // 2,), dtype)
        x[::2] = near.astype(x.dtype)
        x[:6] = np.array([0.0, -0.0, 1.0, -1.0, 0.5, 2.0]).astype(x.dtype)
    else:
        x[::2] = (near * 2).astype(np.int64).astype(x.dtype)
    return x


@pytest.mark.parametrize("dtype", ELEMENTS)
def test_the_ranges_are_those_of_the_numbers(dtype):
    layout = ELEMENTS[dtype]
    x = values(dtype)
    if layout.bits <= 16:  # All there are.
        x = from_words(np.arange(1 << layout.bits, dtype=np.uint64), dtype)
    conditions = CONDITIONS if layout.exponent_bits else CONDITIONS[:4]
    for between, exponents in conditions:
        if dtype.startswith("u") and between[1] < 0:
            continue
        found = is_triggered(trigger_of(dtype, between, exponents), to_words(x))
        np.testing.assert_array_equal(found, fulfils(x, between, exponents))


@settings(max_examples=150, deadline=None)
@given(
    dtype=st.sampled_from(("float32", "bfloat16", "float64", "float16", "int32")),
    ends=st.lists(st.floats(allow_nan=False, width=32), min_size=2, max_size=2),
    seed=st.integers(0, 99),
)
def test_any_range_is_that_of_the_numbers(dtype, ends, seed):
    between = min(ends), max(ends)
    x = random_bits(np.random.default_rng(seed), (400,), dtype)
    try:
        trigger = trigger_of(dtype, between, ())
    except InputError:
        assert not fulfils(x, between, ()).any()
        return
    found = is_triggered(trigger, to_words(x))
    np.testing.assert_array_equal(found, fulfils(x, between, ()))


def row_of(operation: str, dtype: str, trigger, site: int = 1):
    rng = np.random.default_rng(7)
    words = rng.integers(0, SIZE if operation == "copy" else 1 << 7, COUNT, np.uint64)
    if operation in ("random", "random_bits", "copy_random"):
        words = words[:1]
    elif operation == "error_rate":
        words = np.array([words[0], 1 << 30], np.uint64)
    elif words_for_all(operation) == 0:
        words = words[:0]
    elif operation in ("add", "multiply"):  # Of subnormal numbers modes differ.
        numbers = rng.normal(size=COUNT).astype(ELEMENTS[dtype].numpy)
        words = to_words(numbers)
    keep = 0x0F if operation in ("replace", "error_rate") else 0
    row = fault_row(site=site, replica=0, start=START, count=COUNT, block=1,
                    stride=STRIDE, operation=operation, keep=keep, words=words.tolist(),
                    trigger=trigger)  # fmt: skip
    return row, words, keep


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64", "float8_e5m2"])
def test_only_elements_that_fulfil_it_change(mode, dtype, operation):
    x = values(dtype)
    at = START + STRIDE * np.arange(COUNT)
    run = in_mode(
        mode, lambda x, f, w: inject_fault(x, 1, 0, f, w, record=tf.int64, noted=9)
    )
    changed = set()
    for between, exponents in CONDITIONS:
        trigger = trigger_of(dtype, between, exponents)
        row, words, keep = row_of(operation, dtype, trigger)
        y, record = run(tf.constant(x), tf.constant(row.faults), tf.constant(row.words))
        golden = to_words(x)
        hit = fulfils(x[at], between, exponents)
        expected = golden.copy()
        new = new_bits(operation, dtype, keep, words, golden, at)
        expected[at] = np.where(hit, new, golden[at])
        assert_same_bits(y.numpy(), from_words(expected, dtype))
        numbers = record.numpy()[0].astype(np.uint64)
        assert int(numbers[0]) == hit.sum()
        assert numbers[1:].tolist() == golden[at][:9].tolist()
        changed.add(int(hit.sum()))
    assert len(changed) > 3


@pytest.mark.parametrize("operation", ["flip", "copy", "random", "add", "carry"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
def test_a_site_of_a_compiled_program_does_the_same(dtype, operation):
    x, site = tf.constant(values(dtype).reshape(SHAPE)), DTYPES.index(dtype)
    run = compiled(site)
    for between, exponents in CONDITIONS:
        row, *_ = row_of(operation, dtype, trigger_of(dtype, between, exponents), site)
        given = tf.constant(row.faults), tf.constant(row.words)
        right, record = inject_fault(x, site, 0, *given, noted=NOTED)
        y, found = run(x, *given)
        assert_same_bits(y.numpy(), right.numpy())
        assert record_numbers(found).tolist() == record_numbers(record.numpy()).tolist()


@pytest.mark.parametrize(
    ("dtype", "between", "exponents", "message"),
    [
        ("float32", None, (129,), "exponents: 129; expected -127 to 128 for float32"),
        ("bfloat16", None, (-128,), "exponents: -128; expected -127 to 128 for bfl"),
        ("int32", None, (1,), "exponents: .*expected none: int32 has no exponent"),
        ("uint8", (-3, -1), (), "no value of uint8 lies in between .-3, -1."),
        ("float32", (3.0, 3.5), (5,), "no value of float32 lies in between"),
        ("float32", None, (1, 3, 5, 7, 9), "exponents: .*at most 4 runs of bits"),
        ("float16", (1e6, 2e6), (), "no value of float16 lies in between"),
    ],
)
def test_conditions_that_no_value_fulfils_are_one_line(
    dtype, between, exponents, message
):
    with pytest.raises(InputError, match=message) as problem:
        trigger_of(dtype, between, exponents)
    assert "\n" not in str(problem.value)
