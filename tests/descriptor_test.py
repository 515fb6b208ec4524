# SPDX-License-Identifier: Apache-2.0
"""Descriptors made from positions and words, and the record that comes back."""

import numpy as np
import pytest
import tensorflow as tf

from tests.modes import assert_same_bits, random_bits
from tests.rows import changing
from tpufi import descriptor
from tpufi.element import from_words, to_words
from tpufi.errors import InputError
from tpufi.ops import inject_fault

FIELDS = {name: i for i, name in enumerate(descriptor.FIELDS)}


def inject(x: np.ndarray, d: descriptor.Descriptor):
    y, record = inject_fault(tf.constant(x), 3, 0, d.faults, d.words)
    return y.numpy(), descriptor.read_record(record.numpy())


def runs(d: descriptor.Descriptor) -> list[tuple[int, int]]:
    return [(int(r[FIELDS["start"]]), int(r[FIELDS["count"]])) for r in d.faults]


@pytest.mark.parametrize(
    ("positions", "capacity", "expected"),
    [
        ([5], 4, [(5, 1)]),
        ([5, 6, 7], 4, [(5, 3)]),
        ([7, 5, 6], 4, [(5, 3)]),
        ([9, 5, 2, 6], 4, [(2, 1), (5, 2), (9, 1)]),
        ([0, 1, 2, 3, 4], 2, [(0, 2), (2, 2), (4, 1)]),
        ([10, 11, 12, 0], 1, [(0, 1), (10, 1), (11, 1), (12, 1)]),
        (range(130), 64, [(0, 64), (64, 64), (128, 2)]),
    ],
)
def test_positions_are_grouped_into_the_fewest_rows(positions, capacity, expected):
    positions = np.array(positions)
    d = descriptor.replacing(3, 0, positions, positions + 1000, capacity)
    assert runs(d) == expected
    assert d.words.shape == (len(expected), capacity)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64", "int8"])
def test_200_random_sets_of_positions_are_replaced_and_recorded(dtype):
    rng = np.random.default_rng(7)
    for _ in range(200):
        x, new = random_bits(rng, (4, 30), dtype), random_bits(rng, (120,), dtype)
        count = int(rng.integers(1, 121))
        positions = rng.permutation(120)[:count]
        capacity = int(rng.integers(1, 20))
        d = descriptor.replacing(3, -1, positions, to_words(new[:count]), capacity)
        y, injected = inject(x, d)
        want = x.reshape(-1).copy()
        want[positions] = new[:count]
        assert_same_bits(y, want.reshape(x.shape))
        assert sum(s.count for s in injected) == count
        golden = np.concatenate([s.golden for s in injected])
        old = x.reshape(-1)[np.sort(positions)]
        assert_same_bits(from_words(golden, dtype), old)


def test_lists_keep_all_64_bits_of_their_words():
    words = [1, (1 << 64) - 1, (1 << 63) + 1]
    d = descriptor.replacing(3, 0, [4, 5, 6], words, 3)
    assert d.words.tolist() == [words]


@pytest.mark.parametrize(
    ("positions", "words", "capacity", "message"),
    [
        ([], [], 64, "without positions"),
        ([1, 2, 1], [1, 2, 3], 64, "distinct"),
        ([1, 2], [1], 64, "2 positions and 1 words"),
        ([1, 2], [1, 2, 3], 64, "2 positions and 3 words"),
        ([[1, 2]], [[1, 2]], 64, "one word for each position"),
        ([4, -1], [1, 2], 64, "position -1 is negative"),
        ([1, 2], [1, 2], 0, "capacity 0 holds no word"),
        ([1, 2], [1, 2], -1, "capacity -1 holds no word"),
    ],
)
def test_positions_that_name_no_clear_fault_are_input_errors(
    positions, words, capacity, message
):
    with pytest.raises(InputError, match=message):
        descriptor.replacing(3, 0, positions, words, capacity)


@pytest.mark.parametrize(
    ("keep", "word", "expected"),
    [
        (-1, 1 << 31, [1.0, -2.0, -3.0, 4.0]),  # Flip.
        ((1 << 64) - 1, 1 << 31, [1.0, -2.0, -3.0, 4.0]),
        (0xFFFFFFFF, 1 << 31, [1.0, -2.0, -3.0, 4.0]),
        (~(1 << 30), 0, [1.0, 0.0, 2.0**-127, 4.0]),  # Stuck-at-0.
        (~(1 << 31), 1 << 31, [1.0, -2.0, -3.0, 4.0]),  # Stuck-at-1.
        (0, 0x42280000, [1.0, 42.0, 42.0, 4.0]),  # Replace.
    ],
)
def test_a_rule_keeps_some_bits_and_flips_some(keep, word, expected):
    x = np.array([1.0, 2.0, 3.0, 4.0], np.float32)
    y, (injected,) = inject(x, changing(3, 0, 1, 2, keep=keep, word=word))
    assert_same_bits(y, np.array(expected, np.float32))
    assert from_words(injected.golden, "float32").tolist() == [2.0, 3.0]


def test_the_record_of_a_program_is_the_sum_over_its_sites():
    x = np.arange(1, 9, dtype=np.float32)
    d = changing(2, 0, 4, 2, keep=0, word=0, capacity=3)
    records = [
        inject_fault(tf.constant(x * (1 + i)), i, 0, d.faults, d.words)[1]
        for i in range(5)
    ]
    (injected,) = descriptor.read_record(tf.add_n(records).numpy())
    assert injected.count == 2
    assert from_words(injected.golden, "float32").tolist() == [15.0, 18.0]


def test_a_record_carries_every_bit_of_64():
    words = np.array([0xFFFFFFFFFFFFFFFF, 0x0123456789ABCDEF, 1 << 63], np.uint64)
    d = changing(3, 0, 0, 3, keep=-1, word=1)
    for dtype in ("uint64", "int64", "float64"):
        _, (injected,) = inject(from_words(words, dtype), d)
        assert injected.golden.tolist() == words.tolist()


@pytest.mark.parametrize("shape", [(), (1,), (2, 3)])
def test_bits_of_values_keep_the_shape_even_of_scalars_and_transposed_arrays(shape):
    x = random_bits(np.random.default_rng(8), shape, "float16")
    assert to_words(x.T).shape == x.T.shape
    assert_same_bits(from_words(to_words(x.T), "float16"), x.T)
