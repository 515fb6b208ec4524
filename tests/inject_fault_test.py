# SPDX-License-Identifier: Apache-2.0
"""The op behind every site against numpy, on random descriptors and all axis orders."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests.modes import MODES, assert_same_bits, in_mode, random_bits
from tests.rows import set_row
from tpufi import descriptor
from tpufi.descriptor import EVERY_REPLICA, OPERATIONS, Descriptor, Injected
from tpufi.element import ELEMENTS, from_words, to_words
from tpufi.ops import inject_fault

SITE, REPLICA = 5, 2
SHAPES = ((), (13,), (4, 6), (2, 3, 5), (3, 2, 2, 4), (2, 1, 3, 2, 3))
CAPACITIES = (1, 4, 64)
CASES = 1500


def site(mode: str, perm: tuple[int, ...] = ()):
    """Return the function (x, faults, words) of one site in replica REPLICA."""
    return in_mode(
        mode,
        lambda x, faults, words: inject_fault(
            x, SITE, REPLICA, faults, words, perm=perm
        ),
    )


def run(
    function, x: np.ndarray, d: Descriptor
) -> tuple[np.ndarray, tuple[Injected, ...]]:
    y, record = function(tf.constant(x), tf.constant(d.faults), tf.constant(d.words))
    return y.numpy(), descriptor.read_record(record.numpy())


def reference(x: np.ndarray, d: Descriptor, perm: tuple[int, ...] = ()):
    """Return what numpy makes of a descriptor: the tensor and what was injected."""
    layout, perm = ELEMENTS[x.dtype.name], perm or tuple(range(x.ndim))
    view = to_words(x).transpose(perm)
    flat, injected = view.flatten(), []
    for row, words in zip(d.faults.tolist(), d.words, strict=True):
        fields = dict(zip(descriptor.FIELDS, row, strict=True))
        start, count, keep = fields["start"], fields["count"], fields["keep"]
        operation = OPERATIONS[fields["operation"]]
        given = words[:1].repeat(x.size) if fields["words"] == 1 else words
        if fields["site"] != SITE or fields["replica"] not in (-1, REPLICA):
            count = 0
        keep = -1 if operation == "flip" else keep
        injected.append(
            Injected(count, flat[start : start + count][: len(words)].copy())
        )
        for i in range(start, start + count):
            if operation == "zero":
                flat[i] = 0
                continue
            flat[i] = ((int(flat[i]) & keep) ^ int(given[i - start])) & layout.mask
    result = from_words(flat, x.dtype.name).reshape(view.shape)
    return result.transpose(np.argsort(perm)), tuple(injected)


def assert_as_reference(function, x, d, perm=()) -> None:
    (y, injected), (want, expected) = run(function, x, d), reference(x, d, perm)
    assert_same_bits(y, want)
    assert [s.count for s in injected] == [s.count for s in expected]
    for actual, wanted in zip(injected, expected, strict=True):
        np.testing.assert_array_equal(actual.golden, wanted.golden)


def random_descriptor(rng, size: int, rows: int, capacity: int) -> Descriptor:
    """Return rows inside the tensor; most change elements; all bits are random."""
    d = descriptor.disarmed(rows, capacity)
    d.words[:] = rng.integers(0, 1 << 64, d.words.shape, np.uint64)
    for row in range(rows):
        operation = str(rng.choice(["flip", "replace", "replace", "zero"]))
        repeat = operation != "zero" and bool(rng.integers(0, 2))
        start = int(rng.integers(0, size))
        each = operation != "zero" and not repeat
        limit = min(size - start, capacity) if each else size - start
        count = int(rng.integers(0, limit + 1))
        set_row(
            d,
            row,
            site=rng.choice([SITE, SITE, SITE, SITE + 1, -1]),
            replica=rng.choice(
                [REPLICA, EVERY_REPLICA, REPLICA + 1], p=[0.4, 0.4, 0.2]
            ),
            start=start,
            count=count,
            operation=operation,
            keep=rng.choice([0, -1, int(rng.integers(-(1 << 63), 1 << 63))]),
            words=int(repeat) if operation == "zero" or repeat else count,
        )
    return d


def test_1500_random_descriptors_agree_in_all_modes_and_with_numpy():
    rng = np.random.default_rng(20231111)
    programs = [
        (shape, dtype)
        for (i, shape), (j, dtype) in itertools.product(
            enumerate(SHAPES), enumerate(ELEMENTS)
        )
        if (i + j) % 3 == 0
    ]
    done = injected = 0
    for number, (shape, dtype) in enumerate(programs):
        perm = tuple(int(axis) for axis in rng.permutation(len(shape)))
        rows, capacity = 1 + number % 3, CAPACITIES[number // 3 % 3]
        functions = [site(mode, perm) for mode in MODES]
        for _ in range(-(-CASES // len(programs))):
            x = random_bits(rng, shape, dtype)
            d = random_descriptor(rng, x.size, rows, capacity)
            for function in functions:
                assert_as_reference(function, x, d, perm)
            done += 1
            injected += any(s.count for s in reference(x, d, perm)[1])
    assert done >= CASES and injected > CASES / 2
    assert {shape for shape, _ in programs} == set(SHAPES)
    assert {dtype for _, dtype in programs} == set(ELEMENTS)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("perm", list(itertools.permutations(range(3))))
def test_positions_count_in_the_order_of_the_view(perm, mode):
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    function = site(mode, perm)
    for start, count in ((0, 24), (5, 7), (23, 1)):
        words = np.arange(100, 100 + count, dtype=np.uint64)
        d = descriptor.replacing(SITE, REPLICA, np.arange(start, start + count), words)
        assert_as_reference(function, x, d, perm)
        view = x.transpose(perm).ravel()
        golden = run(function, x, d)[1][0].golden
        np.testing.assert_array_equal(golden, to_words(view)[start : start + count])
