# SPDX-License-Identifier: Apache-2.0
"""Finds the bits of an element whose flip changes the result: critical bits.

The binary search is BinFI's: if flipping a 0 does no harm, neither does flipping a less
significant 0, and likewise for 1s. Where that does not hold, it errs; `recall` and
`precision` against the exhaustive search tell by how much.

Source: BinFI, SC'19: binary fault injection; the rule is restated, not its code.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

from tpufi.element import width_of
from tpufi.errors import InputError
from tpufi.instrument.instrumented import Instrumented
from tpufi.instrument.planned import peek
from tpufi.instrument.profile import Execution
from tpufi.instrument.site_fault import flip

METHODS = ("binary", "exhaustive")


@dataclasses.dataclass(frozen=True)
class CriticalBits:
    """What was found for one element.

    Args:
      element: flat index.
      critical: bits whose flip is critical; bit 0 is the least significant.
      trials: runs it took.
    """

    element: int
    critical: frozenset[int]
    trials: int


def critical_bits(
    fi: Instrumented,
    args: tuple,
    is_critical: Callable[[object], bool],
    *,
    site: int,
    elements: Iterable[int],
    iterations: tuple[int, ...] | None = None,
    method: str = "binary",
    kwargs: Mapping | None = None,
) -> tuple[CriticalBits, ...]:
    """Search the bits of elements for those whose flip is critical.

    Args:
      fi: the instrumented program.
      args: positional arguments of the call.
      is_critical: whether the outputs of a run are a critical failure.
      site: id of the site.
      elements: flat indices.
      iterations: see `SiteFault`.
      method: `binary` or `exhaustive`.
      kwargs: keyword arguments of the call.

    Raises:
      InputError: an unknown method, site or element, or no execution there.
    """
    if method not in METHODS:
        raise InputError(f"method {method!r} is unknown; known: {', '.join(METHODS)}")
    kwargs = dict(kwargs or {})
    where = fi.armed(*args, **kwargs).site(site)
    elements = tuple(elements)
    width = width_of(where.dtype)
    is_float = "float" in where.dtype
    execution = Execution(where, iterations, where.size or 0)
    found = []
    for element, golden in zip(
        elements, peek(fi, execution, elements, args, kwargs), strict=True
    ):
        trials = 0

        def harms(bit: int, element: int = element) -> bool:
            nonlocal trials
            trials += 1
            fault = flip(site, element, bit, iterations=iterations)
            return bool(is_critical(fi.run([fault], *args, **kwargs).outputs))

        if method == "exhaustive":
            critical = {bit for bit in range(width) if harms(bit)}
        else:
            ordered = range(width - 1 if is_float else width)
            ones = [bit for bit in ordered if int(golden) >> bit & 1]
            zeros = [bit for bit in ordered if not int(golden) >> bit & 1]
            critical = {*_upper(zeros, harms), *_upper(ones, harms)}
            # The sign of a float has no place in the order of its magnitudes.
            critical |= {b for b in range(len(ordered), width) if harms(b)}
        found.append(CriticalBits(element, frozenset(critical), trials))
    return tuple(found)


def recall(found: Sequence[CriticalBits], truth: Sequence[CriticalBits]) -> float:
    """Return the share of the critical bits that were found; 1 if there is none."""
    return _share(found, truth, truth)


def precision(found: Sequence[CriticalBits], truth: Sequence[CriticalBits]) -> float:
    """Return the share of the found bits that are critical; 1 if none was found."""
    return _share(found, truth, found)


def _share(found, truth, whole) -> float:
    both = sum(len(f.critical & t.critical) for f, t in zip(found, truth, strict=True))
    total = sum(len(one.critical) for one in whole)
    return both / total if total else 1.0


def _upper(bits: list[int], harms: Callable[[int], bool]) -> list[int]:
    """Return the bits from the first harmful one on, found by halving."""
    low, high = 0, len(bits)
    while low < high:
        middle = (low + high) // 2
        if harms(bits[middle]):
            high = middle
        else:
            low = middle + 1
    return bits[low:]
