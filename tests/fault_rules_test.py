# SPDX-License-Identifier: Apache-2.0
"""Every value rule on every kind of run: numpy, and all modes by bits."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests.inject_fault_test import REPLICA, SITE
from tests.modes import MODES, assert_same_bits, in_mode, random_bits
from tpufi import descriptor
from tpufi._library import host
from tpufi.descriptor import RULES, Descriptor
from tpufi.element import ELEMENTS, from_words, to_words
from tpufi.ops import inject_fault
from tpufi.random import random_patterns, words

DTYPES = ("float32", "bfloat16", "float16", "float64", "int8", "uint32", "int64")
SHAPES = {(13,): (0,), (4, 6): (1, 0), (3, 2, 2, 4): (3, 0, 1, 2)}
CAPACITY = 5


def site(mode: str, perm: tuple[int, ...] = ()):
    return in_mode(
        mode,
        lambda x, faults, words: inject_fault(
            x, SITE, REPLICA, faults, words, perm=perm, lowering="branch"
        ),
    )


def run(function, x: np.ndarray, d: Descriptor):
    y, record = function(tf.constant(x), tf.constant(d.faults), tf.constant(d.words))
    return y.numpy(), descriptor.read_record(record.numpy())


def key_of(word: int) -> tuple[int, int]:
    return word & 0xFFFFFFFF, word >> 32


def flipped(word: int, keep: int, key: int, index: int, rate: int, bits: int) -> int:
    for pair in range(bits // 2):
        counter = index * 32 + pair
        draws = host.threefry2x32(key_of(key), key_of(counter))
        for half, draw in enumerate(draws):
            if draw < rate:
                word ^= (1 << (2 * pair + half)) & keep
    return word


def number(x: int, w: int, dtype: str, rule: str) -> int:
    layout = ELEMENTS[dtype]
    a, b = (from_words(np.array([v]), dtype) for v in (x, w))
    with np.errstate(all="ignore"):
        y = a + b if rule == "add" else a * b
    if layout.exponent_bits and np.isnan(y[0].astype(np.float64)):
        field = ((1 << layout.exponent_bits) - 1) << layout.mantissa_bits
        return field | 1 << (layout.mantissa_bits - 1)
    return int(to_words(y)[0])


def reference(x: np.ndarray, d: Descriptor, perm: tuple[int, ...]):
    """Return what numpy makes of the first row, and the bits before."""
    dtype, layout = x.dtype.name, ELEMENTS[x.dtype.name]
    view = to_words(x).transpose(perm)
    golden, fresh = view.flatten(), view.flatten()
    rule, keep = RULES[d.faults[0, 5]], int(d.faults[0, 4])
    given = [int(w) for w in d.words[0]]
    for i, at in enumerate(d.positions().tolist()):
        old = int(golden[at])
        word = {
            "words": lambda i=i, old=old: (old & keep) ^ given[i],
            "repeat": lambda old=old: (old & keep) ^ given[0],
            "random": lambda at=at: random_patterns(dtype, key_of(given[0]), at, 1)[0],
            "copy": lambda i=i: golden[given[i]],
            "copy_random": lambda at=at: golden[
                int(words(key_of(given[0]), at, 1)[0]) % golden.size
            ],
            "error_rate": lambda at=at, old=old: flipped(
                old, keep, given[0], at, given[1], layout.bits
            ),
            "add": lambda i=i, old=old: number(old, given[i], dtype, "add"),
            "multiply": lambda i=i, old=old: number(old, given[i], dtype, "multiply"),
        }[rule]()
        fresh[at] = int(word) & layout.mask
    result = from_words(fresh, dtype).reshape(view.shape).transpose(np.argsort(perm))
    return result, golden[d.positions()]


def normal_bits(rng: np.random.Generator, shape: tuple, dtype: str) -> np.ndarray:
    """Return random bits without subnormal numbers, which devices may flush to 0."""
    x = random_bits(rng, shape, dtype)
    layout = ELEMENTS[dtype]
    if layout.exponent_bits:
        words = to_words(x)
        field = ((1 << layout.exponent_bits) - 1) << layout.mantissa_bits
        x = from_words(np.where(words & np.uint64(field), words, 0), dtype)
    return x.reshape(shape)


def random_row(rng, rule: str, size: int, dtype: str) -> Descriptor:
    """Return a fault of one rule on a random run inside the tensor."""
    most = min(size, CAPACITY) if rule in ("words", "copy", "add", "multiply") else size
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
            return random_row(rng, rule, size, dtype)
    given = rng.integers(0, 1 << 64, CAPACITY, np.uint64)
    if rule == "copy":
        given %= np.uint64(size)
    if rule == "error_rate":
        given[1] = rng.choice([0, 1 << 32, 1 << 31, 1 << 28])
    if rule in ("add", "multiply"):
        given = to_words(normal_bits(rng, (CAPACITY,), dtype))
    return descriptor.fault_row(
        site=SITE,
        replica=REPLICA,
        start=int(rng.integers(0, size - span + 1)),
        count=count,
        block=block or None,
        stride=stride or None,
        rule=rule,
        keep=int(rng.integers(0, 1 << 63)) * 2 + 1,
        words=given.tolist(),
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
def test_every_rule_agrees_in_all_modes_and_with_numpy(shape, perm, dtype):
    rng = np.random.default_rng(7)
    functions = [site(mode, perm) for mode in MODES]
    for rule, _ in itertools.product(RULES, range(12)):
        x = normal_bits(rng, shape, dtype)
        d = random_row(rng, rule, x.size, dtype)
        want, golden = reference(x, d, perm)
        if rule in ("add", "multiply") and subnormal(want).any():
            continue
        for function in functions:
            y, (struck,) = run(function, x, d)
            assert_same_bits(y, want)
            assert struck.count == len(golden)
            assert struck.golden.tolist() == golden[:CAPACITY].tolist()


@pytest.mark.parametrize("mode", MODES)
def test_a_swap_is_two_copies_that_read_before_they_write(mode):
    x = np.arange(10, dtype=np.float32)
    d = descriptor.fault_row(site=SITE, replica=REPLICA, start=2, count=2, block=1,
                             stride=5, rule="copy", words=[7, 2])  # fmt: skip
    y, _ = run(site(mode), x, d)
    assert y.tolist() == [0, 1, 7, 3, 4, 5, 6, 2, 8, 9]


@pytest.mark.parametrize("mode", MODES)
def test_one_row_strikes_more_elements_than_it_has_words(mode):
    x = np.zeros(5000, np.float32)
    d = descriptor.fault_row(site=SITE, replica=REPLICA, start=3, count=4990,
                             rule="random", words=[99])  # fmt: skip
    y, (struck,) = run(site(mode), x, d)
    want = x.copy()
    patterns = random_patterns("float32", (99, 0), 3, 4990)
    want[3:4993] = from_words(patterns, "float32")
    assert_same_bits(y, want)
    assert struck.count == 4990 and len(struck.golden) == 64
    assert np.isfinite(y).all()


BAD = {
    "unknown rule": ({"rule": 8}, "rule 8 is not one of 0 to 7"),
    "negative rule": ({"rule": -1}, "rule -1 is not one of 0 to 7"),
    "too few words": ({"rule": 7, "count": 6}, "multiply needs 6 words, got 5"),
    "outside": ({"block": 1, "stride": 4, "count": 4}, "leave the tensor"),
    "overlap": ({"block": 2, "stride": 1, "count": 3}, "or overlap"),
    "source outside": ({"rule": 3, "count": 2}, "source 10 of a copy is outside"),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", BAD)
def test_a_row_that_makes_no_sense_is_an_error_or_void(case, mode):
    fields, message = BAD[case]
    x = np.arange(10, dtype=np.float32)
    d = descriptor.disarmed(1, CAPACITY)
    row = {"site": SITE, "replica": -1, "start": 0, "count": 1, "rule": 1, **fields}
    for name, value in row.items():
        d.faults[0, descriptor.FIELDS.index(name)] = value
    d.words[0, :2] = 9, 10
    if mode != "xla":
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            run(site(mode), x, d)
        return
    y, (struck,) = run(site(mode), x, d)
    assert_same_bits(y, x)
    assert struck.count == 0


@pytest.mark.parametrize("mode", MODES)
def test_the_lowering_select_takes_given_bits_of_consecutive_elements_only(mode):
    x = np.arange(10, dtype=np.float32)
    rows = (
        {"rule": "random", "words": [1]},
        {"rule": "repeat", "words": [1], "block": 1, "stride": 2},
    )
    function = in_mode(mode, lambda x, f, w: inject_fault(x, SITE, REPLICA, f, w))
    for row in rows:
        d = descriptor.fault_row(site=SITE, replica=-1, start=0, count=2, **row)
        assert not d.fits_select
        if mode != "xla":
            with pytest.raises(tf.errors.InvalidArgumentError, match="needs lowering"):
                run(function, x, d)
            continue
        y, (struck,) = run(function, x, d)
        assert_same_bits(y, x)
        assert struck.count == 0
