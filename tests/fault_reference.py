# SPDX-License-Identifier: Apache-2.0
"""What a fault does to an array, in numpy and integers."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tpufi._library import host
from tpufi.element import Element, element, from_words, to_words
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
    given = np.array(fault.words, np.uint64)
    bits = golden.copy()
    bits[at] = new_bits(fault.operation, x.dtype.name, fault.keep, given, golden, at)
    return from_words(bits, fault.dtype).reshape(x.shape)


class Given(NamedTuple):
    """What an operation works with.

    Args:
      layout: of the element type.
      golden: bits of the whole tensor, by flat index.
      at: flat indices of the faulty elements.
      old: their bits.
      each: the word of each, if there are words.
      keep: bits of the row.
      words: uint64, as they were given.
    """

    layout: Element
    golden: np.ndarray
    at: np.ndarray
    old: np.ndarray
    each: np.ndarray
    keep: np.uint64
    words: np.ndarray

    @property
    def key(self) -> tuple[int, int]:
        return int(self.words[0]) & 0xFFFFFFFF, int(self.words[0]) >> 32


def _random(g: Given, finite: bool) -> np.ndarray:
    first, end = int(g.at.min()), int(g.at.max()) + 1
    drawn = random_patterns(g.layout.name, g.key, first, end - first, finite)
    return drawn[g.at - first]


def _copy_random(g: Given) -> np.ndarray:
    drawn = [words(g.key, i, 1)[0] % np.uint64(g.golden.size) for i in g.at.tolist()]
    return g.golden[np.array(drawn, np.int64)]


def _error_rate(g: Given) -> np.ndarray:
    flips = [errors(g.key, i, g.words[1], g.layout.bits) for i in g.at.tolist()]
    return g.old ^ (np.array(flips, np.uint64) & g.keep)


def _number(g: Given, compute: Callable) -> np.ndarray:
    x, y = (from_words(bits, g.layout.name) for bits in (g.old, g.each))
    with np.errstate(all="ignore"):
        new = compute(x, y)
    bits = to_words(new.astype(x.dtype))
    if not g.layout.exponent_bits:
        return bits
    is_nan = np.isnan(new.astype(np.float64))
    return np.where(is_nan, np.uint64(g.layout.nan), bits)


def _carry(g: Given) -> np.ndarray:
    """Carry in Python's integers, which have no end."""
    bits = g.layout.bits
    magnitude = 1 << bits - 1 if g.layout.exponent_bits else 1 << bits
    found = []
    for x, w in zip(g.old.tolist(), g.each.tolist(), strict=True):
        w &= (1 << bits) - 1
        step = w - (1 << bits) if w >> bits - 1 else w
        if g.layout.exponent_bits:
            sign, below = x - x % magnitude, x % magnitude + step
            found.append(sign + below if 0 <= below < magnitude else x)
        else:
            found.append((x + step) % magnitude)
    return np.array(found, np.uint64)


# A line for each operation: what becomes of the bits.
RULES: dict[str, Callable[[Given], np.ndarray]] = {
    "flip": lambda g: g.old ^ g.each,
    "zero": lambda g: np.zeros_like(g.old),
    "random": lambda g: _random(g, finite=True),
    "replace": lambda g: (g.old & g.keep) ^ g.each,
    "copy": lambda g: g.golden[g.each.astype(np.int64)],
    "add": lambda g: _number(g, np.add),
    "multiply": lambda g: _number(g, np.multiply),
    "error_rate": _error_rate,
    "random_bits": lambda g: _random(g, finite=False),
    "copy_random": _copy_random,
    "carry": _carry,
}


def new_bits(
    operation: str,
    dtype: str,
    keep: int,
    given: np.ndarray,
    golden: np.ndarray,
    at: np.ndarray,
) -> np.ndarray:
    """Return the bits that faulty elements get, uint64 [elements].

    Args:
      operation: what is done to them.
      dtype: element type.
      keep: bits of the row, 64 bits or a negative number.
      given: uint64, the words.
      golden: bits of the whole tensor, by flat index.
      at: flat indices of the faulty elements, in the order of words.
    """
    layout = element(dtype)
    each = np.resize(given, at.size)  # One word for each element, or one for all.
    kept = np.uint64(keep & layout.mask)
    new = RULES[operation](Given(layout, golden, at, golden[at], each, kept, given))
    return new & np.uint64(layout.mask)


def errors(key: tuple[int, int], index: int, rate: int, bits: int) -> int:
    """Return the bits that an error rate of `rate` / 2**32 flips in one element."""
    flips = 0
    for pair in range(bits // 2):
        counter = index * 32 + pair
        draws = host.threefry2x32(key, (counter & 0xFFFFFFFF, counter >> 32))
        for half, draw in enumerate(draws):
            flips |= (draw < rate) << (2 * pair + half)
    return flips
