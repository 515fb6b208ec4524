# SPDX-License-Identifier: Apache-2.0
"""Conditions on the value of an element, as ranges of its bits.

A device compares bits with the ends of ranges, as numbers without sign: it is the same
for every type, and what is a number, -0.0 or NaN is decided here.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from tpufi.element import BOOL, Element, element, from_words
from tpufi.errors import InputError

RANGES = 4  # That a row of a descriptor holds.
_Ranges = list[tuple[int, int]]


def trigger_of(
    dtype: str, between: tuple[float, float] | None, exponents: Sequence[int]
) -> tuple[int, ...]:
    """Return a condition as a row of a descriptor holds it.

    An element x fulfils it if `low <= x & mask <= high` for one of `RANGES` ranges.

    Args:
      dtype: element type.
      between: see `tpufi.when.When`.
      exponents: see there.

    Returns:
      The mask, and low and high of each range, the first one again in place of missing
      ones; all 0: every element.

    Raises:
      InputError: no value of the type fulfils it, or it takes too many ranges.

    Example:
      >>> [hex(n) for n in trigger_of("float32", None, (0,))][:3]
      ['0x7fffffff', '0x3f800000', '0x3fffffff']
    """
    if between is None and not exponents:
        return (0,) * (1 + 2 * RANGES)
    layout = element("uint8" if dtype == BOOL else dtype)
    mask = layout.mask
    if not layout.exponent_bits:
        if exponents:
            raise _wrong("exponents", exponents, f"none: {dtype} has no exponent")
        ranges = _integers(layout, *between)
    elif between is None:
        ranges, mask = _magnitudes(layout, exponents), layout.mask >> 1
    else:
        ranges = _numbers(layout, *between)
        if exponents:
            ranges = _both(ranges, _signed(layout, _magnitudes(layout, exponents)))
    if not ranges:
        raise InputError(
            f"when: no value of {dtype} lies in between {between} with exponents "
            f"{exponents or 'of any size'}; choose a wider range"
        )
    if len(ranges) > RANGES:
        raise _wrong(
            "exponents", exponents, f"at most {RANGES} runs of bits, signs apart"
        )
    ranges = [*ranges, *[ranges[0]] * (RANGES - len(ranges))]
    return mask, *(end for ends in ranges for end in ends)


def is_triggered(trigger: Sequence[int], words: np.ndarray) -> np.ndarray:
    """Return which elements fulfil a condition, bool like `words`.

    Args:
      trigger: of `trigger_of`.
      words: uint64, bits of elements.
    """
    mask, *ends = (np.uint64(number) for number in trigger)
    seen = words & mask
    found = np.zeros(words.shape, bool)
    for low, high in zip(ends[::2], ends[1::2], strict=True):
        found |= (low <= seen) & (seen <= high)
    return found


def _magnitudes(layout: Element, exponents: Sequence[int]) -> _Ranges:
    """Return the runs of exponents as ranges of bits without the sign."""
    bias = (1 << layout.exponent_bits - 1) - 1
    found: _Ranges = []
    for exponent in exponents:
        field = exponent + bias
        if not 0 <= field < 1 << layout.exponent_bits:
            bounds = f"{-bias} to {bias + 1} for {layout.name}"
            raise _wrong("exponents", exponent, bounds)
        low, high = (n << layout.mantissa_bits for n in (field, field + 1))
        if found and found[-1][1] == low - 1:
            found[-1] = found[-1][0], high - 1
        else:
            found.append((low, high - 1))
    return found


def _numbers(layout: Element, low: float, high: float) -> _Ranges:
    """Return the bits of the floats between two numbers, -0.0 as 0.0."""
    found = []
    if high >= 0 and (own := _between(layout, max(low, 0.0), high)):
        found.append(own)
    if low <= 0 and (own := _between(layout, max(-high, 0.0), -low)):
        found += _negative(layout, [own])
    return found


def _between(layout: Element, low: float, high: float) -> tuple[int, int] | None:
    """Return the bits of the floats of one range of numbers from 0 on."""
    largest = (layout.mask >> 1) - 1
    if layout.has_infinity:
        largest = ((1 << layout.exponent_bits) - 1) << layout.mantissa_bits

    def value(bits: int) -> float:
        return float(from_words(np.array([bits]), layout.name)[0])

    first = _first(largest, lambda bits: value(bits) >= low)
    last = _first(largest, lambda bits: value(bits) > high) - 1
    return (first, last) if first <= last else None


def _first(largest: int, test: Callable[[int], bool]) -> int:
    """Return the first number with which a test holds, which later ones all have."""
    begin, end = 0, largest + 1
    while begin < end:
        middle = (begin + end) // 2
        if test(middle):
            end = middle
        else:
            begin = middle + 1
    return begin


def _integers(layout: Element, low: float, high: float) -> _Ranges:
    """Return the bits of the integers between two numbers."""
    limits = np.iinfo(layout.numpy)
    first = limits.min if low <= limits.min else math.ceil(min(low, limits.max + 1))
    last = limits.max if high >= limits.max else math.floor(max(high, limits.min - 1))
    if first > last:
        return []
    if first < 0 <= last:
        return [(first & layout.mask, layout.mask), (0, last)]
    return [(first & layout.mask, last & layout.mask)]


def _negative(layout: Element, ranges: _Ranges) -> _Ranges:
    sign = 1 << layout.bits - 1
    return [(low | sign, high | sign) for low, high in ranges]


def _signed(layout: Element, ranges: _Ranges) -> _Ranges:
    return [*ranges, *_negative(layout, ranges)]


def _both(some: _Ranges, others: _Ranges) -> _Ranges:
    pairs = [(max(a[0], b[0]), min(a[1], b[1])) for a in some for b in others]
    return [pair for pair in pairs if pair[0] <= pair[1]]


def _wrong(field: str, value: object, expected: str) -> InputError:
    return InputError(f"when: {field}: {value!r:.80}; expected {expected}; correct it")
