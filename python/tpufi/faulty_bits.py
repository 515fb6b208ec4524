# SPDX-License-Identifier: Apache-2.0
"""The bits that a fault leaves in its elements, computed on the host."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tpufi.descriptor import CAPACITY, fault_row, takes_one_for_each
from tpufi.element import from_words, to_words, width_of
from tpufi.fault import OF_THE_ELEMENT, Fault
from tpufi.ops import inject_fault
from tpufi.value_ranges import is_triggered

_BY_MASK = ("zero", "flip", "replace")


def faulty_bits(
    fault: Fault, golden: np.ndarray, words: Sequence[int] | None = None
) -> np.ndarray | None:
    """Return the bits that a fault writes over golden ones.

    Args:
      fault: the fault.
      golden: uint64 array, bits of its elements in their order, or of the first ones.
      words: of these elements; None: those of the fault.

    Returns:
      uint64 array like `golden`; None if they depend on more than the elements: copies
      and random patterns.
    """
    found = _of_all(fault, golden, words)
    if found is None or not any(fault.trigger):
        return found
    return np.where(is_triggered(fault.trigger, golden), found, golden)


def _of_all(
    fault: Fault, golden: np.ndarray, words: Sequence[int] | None
) -> np.ndarray | None:
    """Return the bits that a fault writes if it depends on no value."""
    each = words_of(fault.words if words is None else words, len(golden))
    if fault.operation in _BY_MASK:
        return ((golden & np.uint64(keep_of(fault))) ^ each) & np.uint64(_mask(fault))
    if fault.operation not in OF_THE_ELEMENT:
        return None
    found = [
        _written(fault, golden[i : i + CAPACITY], each[i : i + CAPACITY])
        for i in range(0, len(golden), CAPACITY)
    ]
    return np.concatenate(found)


def keep_of(fault: Fault) -> int:
    """Return the bits that a fault keeps: an element becomes `(x & keep) ^ word`."""
    return _mask(fault) if fault.operation == "flip" else fault.keep


def words_of(words: Sequence[int], count: int) -> np.ndarray:
    """Return a word for each of the first `count` elements; zeros where none are."""
    found = np.array(words, np.uint64)
    return np.resize(found if len(found) else np.zeros(1, np.uint64), count)


def _mask(fault: Fault) -> int:
    return (1 << width_of(fault.dtype)) - 1


def _written(fault: Fault, golden: np.ndarray, words: np.ndarray) -> np.ndarray:
    row = fault_row(
        site=0,
        replica=0,
        start=0,
        count=len(golden),
        operation=fault.operation,
        words=words.tolist() if takes_one_for_each(fault.operation) else (),
    )
    with tf.device("cpu:0"):
        x = tf.constant(from_words(golden, fault.dtype))
        y, _ = inject_fault(x, 0, 0, tf.constant(row.faults), tf.constant(row.words))
    return to_words(y.numpy())
