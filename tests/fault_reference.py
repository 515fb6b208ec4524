# SPDX-License-Identifier: Apache-2.0
"""What a fault does to an array, in numpy and integers."""

import numpy as np

from tpufi._library import host
from tpufi.element import element, from_words, to_words
from tpufi.fault import Fault
from tpufi.random import random_patterns, words


def faulty_indices(fault: Fault) -> list[int]:
    """Return the flat indices of the faulty elements, in the order of words."""
    where = fault.elements
    return [
        where.start + (i // where.block) * where.stride + i % where.block
        for i in range(where.count)
    ]


def apply(fault: Fault, x: np.ndarray) -> np.ndarray:
    """Return `x` as the fault leaves it."""
    golden, at = to_words(x).reshape(-1), np.array(faulty_indices(fault))
    bits = golden.copy()
    bits[at] = _new_bits(fault, golden, at)
    return from_words(bits, fault.dtype).reshape(x.shape)


def _new_bits(fault: Fault, golden: np.ndarray, at: np.ndarray) -> np.ndarray:
    name, operation, layout = fault.dtype, fault.operation, element(fault.dtype)
    given = np.array(fault.words, np.uint64)
    each = np.resize(given, at.size)  # One word for each element, or one for all.
    key = () if not len(given) else (int(given[0]) & 0xFFFFFFFF, int(given[0]) >> 32)
    first, end = int(at.min()), int(at.max()) + 1
    if operation == "zero":
        return np.zeros_like(each)
    if operation in ("flip", "replace"):
        keep = layout.mask if operation == "flip" else fault.keep
        return (golden[at] & np.uint64(keep)) ^ each
    if operation == "copy":
        return golden[each.astype(np.int64)]
    if operation in ("random", "random_bits"):
        finite = operation == "random"
        drawn = random_patterns(name, key, first, end - first, finite)
        return drawn[at - first]
    if operation == "copy_random":
        sources = words(key, first, end - first)[at - first] % np.uint64(golden.size)
        return golden[sources.astype(np.int64)]
    if operation == "error_rate":
        flips = [errors(key, i, fault.words[1], layout.bits) for i in at.tolist()]
        return golden[at] ^ (np.array(flips, np.uint64) & np.uint64(fault.keep))
    old, operand = from_words(golden[at], name), from_words(each, name)
    with np.errstate(all="ignore"):
        new = {"add": np.add, "multiply": np.multiply}[operation](old, operand)
    is_nan = np.isnan(new.astype(np.float64))
    return np.where(is_nan, np.uint64(layout.nan), to_words(new.astype(old.dtype)))


def errors(key: tuple[int, int], index: int, rate: int, bits: int) -> int:
    """Return the bits that an error rate of `rate` / 2**32 flips in one element."""
    flips = 0
    for pair in range(bits // 2):
        counter = index * 32 + pair
        draws = host.threefry2x32(key, (counter & 0xFFFFFFFF, counter >> 32))
        for half, draw in enumerate(draws):
            flips |= (draw < rate) << (2 * pair + half)
    return flips
