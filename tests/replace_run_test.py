# SPDX-License-Identifier: Apache-2.0
"""The lean site's op: the same bits in all modes, in any layout."""

import numpy as np
import pytest
import tensorflow as tf

from tests.modes import MODES, assert_same_bits, in_mode, random_bits
from tpufi.element import ELEMENTS
from tpufi.layers.layout import Axis, Layout, whole
from tpufi.ops import replace_run

BANKS, BANK, BASE = 3, 1, 2**32 - 30  # Numbers wrap round.
SHAPE = (2, 3, 4, 5)
PADDED = (Axis(0), Axis(1, 1), Axis(2, 2), Axis(3))
DILATED = (Axis(3), Axis(0), Axis(1, 1, 2), Axis(2, 0, 2))
TURNED = (Axis(0, 1, -1), Axis(1, 2, -1), Axis(3), Axis(2))
LAYOUTS = {
    "own": whole(SHAPE),
    "transposed": whole(SHAPE, (3, 1, 2, 0)),
    "padded": Layout((2, 5, 7, 5), SHAPE, PADDED),
    "dilated": Layout((5, 2, 6, 9), SHAPE, DILATED),
    "turned": Layout((2, 3, 5, 4), SHAPE, TURNED),
    "vector": whole((7,)),
    "scalar": whole(()),
}


def _indices(layout: Layout) -> np.ndarray:
    """Flat index of every element, one by one from the definition of the axes."""
    found = np.zeros(layout.stored, np.int64)
    for at in np.ndindex(*layout.stored):
        coordinates = [a.first + a.step * at[a.axis] for a in layout.axes]
        found[at] = np.ravel_multi_index(coordinates, layout.site) if coordinates else 0
    return found


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "uint8"])
@pytest.mark.parametrize("name", LAYOUTS)
def test_each_element_of_a_run_gets_its_own_word(name, dtype, mode):
    layout, element = LAYOUTS[name], ELEMENTS[dtype]
    rng = np.random.default_rng(3)
    x = random_bits(rng, layout.stored, dtype)
    size = int(np.prod(layout.site))
    period = size if len(layout.site) < 2 else int(np.prod(layout.site[-2:]))
    tables = rng.integers(0, 256, (2, period)).astype(element.word)
    starts, lengths = np.array([size // 4, size // 2]), np.array([size // 2, 1])
    first, counts = (starts + BASE) % 2**32, np.zeros((2, BANKS), np.uint32)
    counts[:, BANK] = lengths

    indices = _indices(layout)
    words = x.view(element.word).copy()
    for start, length, table in zip(starts, lengths, tables, strict=True):
        hit = (indices >= start) & (indices < start + length)
        words = np.where(hit, table[indices % period], words)

    y = in_mode(mode, replace_run)(
        tf.constant(x),
        tf.constant(first, tf.uint32),
        tf.constant(counts),
        tf.constant(tables),
        layout.strides,
        layout.offset,
        base=BASE,
        banks=[0, BANK],
    )
    assert_same_bits(y.numpy(), words.reshape(x.shape).view(element.numpy))
    assert name == "scalar" or not np.array_equal(words, x.view(element.word))


@pytest.mark.parametrize("mode", MODES)
def test_a_run_in_another_bank_changes_nothing(mode):
    x = random_bits(np.random.default_rng(4), (4, 8), "float32")
    counts = np.full((1, BANKS), 5, np.uint32)
    counts[0, BANK] = 0
    y = in_mode(mode, replace_run)(
        tf.constant(x),
        tf.zeros([1], tf.uint32),
        tf.constant(counts),
        tf.zeros([1, 8], tf.uint32),
        (8, 1),
        base=0,
        banks=[BANK],
    )
    assert_same_bits(y.numpy(), x)


@pytest.mark.parametrize("mode", ["eager", "xla"])
@pytest.mark.parametrize(
    "change, message",
    [
        ({"strides": (8,)}, "1 strides for 2 axes"),
        ({"strides": (8, -1)}, r"indices -7 to 24 are not inside \[0, 2\^32\)"),
        ({"tables": np.zeros((1, 8), np.uint16)}, "16 bits for elements of 32"),
        ({"counts": np.zeros((1, 1), np.uint32)}, r"bank 1 is not in \[0, 1\)"),
    ],
)
def test_operands_that_do_not_fit_are_refused(change, message, mode):
    given = {
        "counts": np.zeros((1, BANKS), np.uint32),
        "tables": np.zeros((1, 8), np.uint32),
        "strides": (8, 1),
    } | change
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        in_mode(mode, replace_run)(
            tf.zeros([4, 8]),
            tf.zeros([1], tf.uint32),
            tf.constant(given["counts"]),
            tf.constant(given["tables"]),
            given["strides"],
            base=0,
            banks=[BANK],
        )
