# SPDX-License-Identifier: Apache-2.0
"""Every operation on every kind of run: numpy, and all modes bitwise."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests.fault_reference import new_bits
from tests.inject_fault_test import REPLICA, SITE
from tests.modes import MODES, assert_same_bits, in_mode, random_bits
from tests.rows import set_row
from tpufi import descriptor
from tpufi.descriptor import OPERATIONS, Descriptor, takes_one_for_each, words_for_all
from tpufi.element import ELEMENTS, from_words, to_words
from tpufi.ops import inject_fault
from tpufi.random import random_patterns

DTYPES = (
    *("float32", "bfloat16", "float16", "float64", "float8_e5m2", "float8_e4m3fn"),
    *("int8", "uint32", "int64"),
)
SHAPES = {(13,): (0,), (4, 6): (1, 0), (3, 2, 2, 4): (3, 0, 1, 2)}
CAPACITY = 5


def site(mode: str, perm: tuple[int, ...] = ()):
    return in_mode(
        mode,
        lambda x, faults, words: inject_fault(
            x, SITE, REPLICA, faults, words, perm=perm
        ),
    )


def run(function, x: np.ndarray, d: Descriptor):
    y, record = function(tf.constant(x), tf.constant(d.faults), tf.constant(d.words))
    return y.numpy(), descriptor.read_record(record.numpy())


def reference(x: np.ndarray, d: Descriptor, perm: tuple[int, ...]):
    """Return what numpy makes of the first row, and the bits before."""
    dtype, view = x.dtype.name, to_words(x).transpose(perm)
    golden, at = view.flatten(), d.positions()
    row = dict(zip(descriptor.FIELDS, d.faults[0].tolist(), strict=True))
    given, fresh = d.words[0, : row["words"]], golden.copy()
    operation = OPERATIONS[row["operation"]]
    fresh[at] = new_bits(operation, dtype, row["keep"], given, golden, at)
    result = from_words(fresh, dtype).reshape(view.shape).transpose(np.argsort(perm))
    return result, golden[at]


def normal_bits(rng: np.random.Generator, shape: tuple, dtype: str) -> np.ndarray:
    """Return random bits without subnormal numbers, which devices may flush to 0."""
    x = random_bits(rng, shape, dtype)
    layout = ELEMENTS[dtype]
    if layout.exponent_bits:
        words = to_words(x)
        field = ((1 << layout.exponent_bits) - 1) << layout.mantissa_bits
        x = from_words(np.where(words & np.uint64(field), words, 0), dtype)
    return x.reshape(shape)


def random_row(rng, operation: str, size: int, dtype: str) -> Descriptor:
    """Return a fault of one operation on a random run inside the tensor."""
    each = takes_one_for_each(operation) and bool(rng.integers(0, 2))
    most = min(size, CAPACITY) if each else size
    block = int(rng.integers(0, 4))
    if block == 0:
        count, stride = int(rng.integers(1, most + 1)), 0
        span = count
    else:
        blocks = int(rng.integers(1, 4))
        stride = block + int(rng.integers(0, 3))
        count = min(most, (blocks - 1) * stride + block, blocks * block)
        span = (count - 1) // block * stride + (count - 1) % block + 1
        if span > size:
            return random_row(rng, operation, size, dtype)
    given = rng.integers(0, 1 << 64, CAPACITY, np.uint64)
    if operation == "copy":
        given %= np.uint64(size)
    if operation == "error_rate":
        given[1] = rng.choice([0, 1 << 32, 1 << 31, 1 << 28])
    if operation in ("add", "multiply"):
        given = to_words(normal_bits(rng, (CAPACITY,), dtype))
    taken = count if each else words_for_all(operation)
    return descriptor.fault_row(
        site=SITE,
        replica=REPLICA,
        start=int(rng.integers(0, size - span + 1)),
        count=count,
        block=block or None,
        stride=stride or None,
        operation=operation,
        keep=int(rng.integers(0, 1 << 63)) * 2 + 1,
        words=given.tolist()[:taken],
        capacity=CAPACITY,
    )


def subnormal(y: np.ndarray) -> np.ndarray:
    """Return which elements are subnormal numbers."""
    layout = ELEMENTS[y.dtype.name]
    if not layout.exponent_bits:
        return np.zeros(y.shape, bool)
    words = to_words(y)
    field = ((1 << layout.exponent_bits) - 1) << layout.mantissa_bits
    return (words & np.uint64(field) == 0) & (words << np.uint64(1) != 0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "perm"), SHAPES.items())
def test_every_operation_agrees_in_all_modes_and_with_numpy(shape, perm, dtype):
    rng = np.random.default_rng(7)
    functions = [site(mode, perm) for mode in MODES]
    for operation, _ in itertools.product(OPERATIONS, range(12)):
        x = normal_bits(rng, shape, dtype)
        d = random_row(rng, operation, x.size, dtype)
        want, golden = reference(x, d, perm)
        if operation in ("add", "multiply") and subnormal(want).any():
            continue
        for function in functions:
            y, (injected,) = run(function, x, d)
            assert_same_bits(y, want)
            assert injected.count == len(golden)
            assert injected.golden.tolist() == golden[:CAPACITY].tolist()


@pytest.mark.parametrize("mode", MODES)
def test_a_swap_is_two_copies_that_read_before_they_write(mode):
    x = np.arange(10, dtype=np.float32)
    d = descriptor.fault_row(site=SITE, replica=REPLICA, start=2, count=2, block=1,
                             stride=5, operation="copy", words=[7, 2])  # fmt: skip
    y, _ = run(site(mode), x, d)
    assert y.tolist() == [0, 1, 7, 3, 4, 5, 6, 2, 8, 9]


@pytest.mark.parametrize("mode", MODES)
def test_one_row_changes_more_elements_than_it_has_words(mode):
    x = np.zeros(5000, np.float32)
    d = descriptor.fault_row(site=SITE, replica=REPLICA, start=3, count=4990,
                             operation="random", words=[99])  # fmt: skip
    y, (injected,) = run(site(mode), x, d)
    want = x.copy()
    patterns = random_patterns("float32", (99, 0), 3, 4990)
    want[3:4993] = from_words(patterns, "float32")
    assert_same_bits(y, want)
    assert injected.count == 4990 and len(injected.golden) == 64
    assert np.isfinite(y).all()


END = len(OPERATIONS)
BAD = {
    "unknown": ({"operation": END}, f"operation {END} is not one of 0 to {END - 1}"),
    "negative": ({"operation": -1}, f"operation -1 is not one of 0 to {END - 1}"),
    "too few words": ({"operation": 6, "count": 6, "words": 5}, "5 of at most 5 words"),
    "too many words": ({"count": 6, "words": 6}, "6 of at most 5 words"),
    "outside": ({"block": 1, "stride": 4, "count": 4}, "leave the tensor"),
    "overlap": ({"block": 2, "stride": 1, "count": 3}, "or overlap"),
    "source outside": (
        {"operation": 4, "count": 2, "words": 2},
        "source 10 of a copy is outside",
    ),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", BAD)
def test_a_row_that_makes_no_sense_is_an_error_or_void(case, mode):
    fields, message = BAD[case]
    x = np.arange(10, dtype=np.float32)
    d = descriptor.disarmed(1, CAPACITY)
    row = {"site": SITE, "replica": -1, "count": 1, "operation": 3, "words": 1}
    set_row(d, 0, **{**row, **fields})
    d.words[0, :2] = 9, 10
    if mode != "xla":
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            run(site(mode), x, d)
        return
    y, (injected,) = run(site(mode), x, d)
    assert_same_bits(y, x)
    assert injected.count == 0
