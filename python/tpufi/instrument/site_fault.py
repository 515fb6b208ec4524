# SPDX-License-Identifier: Apache-2.0
"""A fault in an instrumented program, and the descriptor rows that carry it."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tpufi.descriptor import (
    CAPACITY,
    EVERY_REPLICA,
    Descriptor,
    disarmed,
    fault_row,
)
from tpufi.element import ELEMENTS
from tpufi.errors import InputError
from tpufi.instrument.context import context
from tpufi.instrument.graph_site import GraphSite
from tpufi.instrument.written import (
    Index,
    as_number,
    flat_index,
    flat_list,
    indices_of,
    word_of,
)
from tpufi.integers import integer


@dataclasses.dataclass(frozen=True)
class SiteFault:
    """Changes elements of one site from x to `(x & keep) ^ word`.

    Args:
      site: id of the site.
      elements: distinct elements: flat indices, or tuples with an index for each axis.
      keep: bits that are kept.
      words: one word for all elements, or one for each.
      iterations: for a site in loops, the iteration of each of them in which the fault
        is injected into, from the outermost; None: every execution.
      replica: the faulty replica; None: every one.
      values: numbers in place of words, of the site's element type: one for all
        elements, or one for each.
    """

    site: int
    elements: Sequence[Index]
    keep: int
    words: Sequence[int]
    iterations: tuple[int, ...] | None = None
    replica: int | None = None
    values: tuple[float, ...] | None = None


def flip(
    site: int | GraphSite,
    element: Index,
    bit: int,
    *,
    iterations: tuple[int, ...] | None = None,
    replica: int | None = None,
) -> SiteFault:
    """Return the fault that flips a bit of an element; bit 0 is least significant.

    Args:
      site: a site, or its id.
      element: flat index, or a tuple with an index for each axis.
      bit: which bit, 0 <= bit < width of the element type.
      iterations: see `SiteFault`.
      replica: see `SiteFault`.

    Raises:
      InputError: an argument is no integer, or the bit is none of 64.

    Example:
      >>> flip(3, (0, 1), bit=31).words
      (2147483648,)
    """
    bit = integer("bit", bit)
    if not 0 <= bit < 64:
        raise InputError(
            f"bit {bit} is none of 0 to 63; bit 0 is the least significant"
        )
    return _fault(site, [element], -1, (1 << bit,), iterations, replica)


def zero(
    site: int | GraphSite,
    elements: Sequence[Index],
    *,
    iterations: tuple[int, ...] | None = None,
    replica: int | None = None,
) -> SiteFault:
    """Return the fault that makes elements +0.

    Args:
      site: a site, or its id.
      elements: see `SiteFault`.
      iterations: see `SiteFault`.
      replica: see `SiteFault`.

    Raises:
      InputError: an argument is no integer.
    """
    return _fault(site, elements, 0, (0,), iterations, replica)


def replace(
    site: int | GraphSite,
    elements: Sequence[Index],
    values: Sequence[float] | float | None = None,
    *,
    bits: Sequence[int] | None = None,
    iterations: tuple[int, ...] | None = None,
    replica: int | None = None,
) -> SiteFault:
    """Return the fault that replaces elements by numbers, or by bit patterns.

    Args:
      site: a site, or its id.
      elements: see `SiteFault`.
      values: numbers, rounded to the site's element type: one for all elements, or one
        for each.
      bits: in place of numbers, the bits of the new elements as integers.
      iterations: see `SiteFault`.
      replica: see `SiteFault`.

    Raises:
      InputError: there are both values and bits, or none; or one is no number, or no
        integer.

    Example:
      >>> replace(3, [(0, 1)], 1e4).values
      (10000.0,)
      >>> replace(3, [7], bits=[0x7F800000]).words
      (2139095040,)
    """
    if (values is None) == (bits is None):
        raise InputError(
            "replace takes values, numbers of the site's type, or bits, their patterns "
            "as integers; give one of them"
        )
    if bits is not None:
        words = tuple(integer("bits, which are integers:", b) for b in flat_list(bits))
        return _fault(site, elements, 0, words, iterations, replica)
    numbers = tuple(as_number(value) for value in flat_list(values))
    fault = _fault(site, elements, 0, (), iterations, replica)
    return dataclasses.replace(fault, values=numbers)


def listed(faults: object) -> tuple[SiteFault, ...]:
    """Return one fault, several, or sequences of them as one tuple.

    Raises:
      InputError: there is something else.
    """
    if isinstance(faults, SiteFault):
        return (faults,)
    if isinstance(faults, Sequence) and not isinstance(faults, str):
        return tuple(one for part in faults for one in listed(part))
    raise InputError(f"{faults!r:.80} is no fault; make one with flip, zero or replace")


def fitted(fault: SiteFault, site: GraphSite) -> SiteFault:
    """Return a fault with flat indices and words, as its site has them.

    Raises:
      InputError: an index is outside the tensor, or a value is not one of its type.
    """
    elements = indices_of(fault.elements)
    if any(isinstance(one, Sequence) for one in elements):
        elements = tuple(flat_index(site.name, one, site.shape) for one in elements)
    iterations, replica = fault.iterations, fault.replica
    if iterations is not None:
        iterations = tuple(integer(f"{site.name}: iteration", i) for i in iterations)
    if replica is not None:
        replica = integer(f"{site.name}: replica", replica)
    if fault.values is None:
        words = tuple(integer(f"{site.name}: word", word) for word in fault.words)
    else:
        numbers = map(as_number, fault.values)
        words = tuple(word_of(site.name, number, site.dtype) for number in numbers)
    return SiteFault(
        site.id,
        elements,
        integer(f"{site.name}: keep", fault.keep),
        words,
        iterations,
        replica,
    )


def _fault(
    site: int | GraphSite,
    elements: Sequence[Index],
    keep: int,
    words: tuple[int, ...],
    iterations: tuple[int, ...] | None,
    replica: int | None,
) -> SiteFault:
    site_id = site.id if isinstance(site, GraphSite) else integer("site", site)
    return SiteFault(site_id, indices_of(elements), keep, words, iterations, replica)


def bits_of(dtype: str) -> int:
    """Return the width of an element; a `bool` has one bit."""
    return 1 if dtype == "bool" else ELEMENTS[dtype].bits


def check(fault: SiteFault, site: GraphSite, size: int | None) -> None:
    """Raise InputError unless a fault fits a site.

    Args:
      fault: the fault.
      site: its site.
      size: elements of the site, if known.
    """
    if len(fault.elements) == 0:
        raise InputError(f"{site.name}: a fault without elements; name at least one")
    if len(set(fault.elements)) != len(fault.elements):
        raise InputError(f"{site.name}: an element is named twice; name it once")
    low, high = min(fault.elements), max(fault.elements)
    if low < 0 or (size is not None and high >= size):
        wrong = low if low < 0 else high
        raise InputError(
            f"{site.name}: element {wrong} is outside [0, {size or 'size'}); choose "
            "one inside"
        )
    width = bits_of(site.dtype)
    for word in fault.words:
        if not 0 <= word < 1 << width:
            raise InputError(
                f"{site.name}: word {word:#x} is wider than the {width} bits of "
                f"{site.dtype}; choose bits 0 to {width - 1}"
            )
    if len(fault.words) not in (1, len(fault.elements)):
        raise InputError(
            f"{site.name}: {len(fault.words)} words for {len(fault.elements)} "
            "elements; give one, or one for each"
        )
    if fault.iterations is not None and len(fault.iterations) != site.loops:
        raise InputError(
            f"{site.name}: {len(fault.iterations)} iterations for a site in "
            f"{site.loops} loops; give one for each loop, or None for every execution"
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Row:
    """One row of a descriptor: its fault, its elements, and their words."""

    fault: SiteFault
    context: int
    elements: np.ndarray
    words: np.ndarray


def rows_of(fault: SiteFault, loops: int, replicas: int) -> list[Row]:
    """Return the rows of a fault: one for each run of elements and each replica.

    Args:
      fault: a fault that has been checked.
      loops: in how many loops its site is.
      replicas: how many replicas run the program.
    """
    contexts = [EVERY_REPLICA]
    if loops == 0 and fault.replica is not None:
        contexts = [context(fault.replica)]
    elif fault.iterations is not None and loops:
        faulty = range(replicas) if fault.replica is None else [fault.replica]
        contexts = [context(r, fault.iterations) for r in faulty]
    elif fault.replica is not None:
        raise InputError(
            "a fault in every iteration is injected into every replica, not only "
            f"{fault.replica}; name iterations, or replica None"
        )
    elements = np.asarray(fault.elements, np.int64)
    order = np.argsort(elements, kind="stable")
    words = np.array(fault.words, np.uint64)
    each = words if len(words) > 1 else np.repeat(words, len(elements))
    breaks = np.flatnonzero(np.diff(elements[order]) != 1) + 1
    return [
        Row(fault, number, elements[run], each[run])
        for number in contexts
        for run in np.split(order, breaks)
    ]


def descriptor_of(rows: Sequence[Row]) -> Descriptor:
    """Return the descriptor of rows, with a power of two of rows and of words.

    Few shapes mean few compilations: XLA compiles a program for each.
    """
    longest = max((len(row.elements) for row in rows), default=1)
    capacity = max(CAPACITY, 1 << (longest - 1).bit_length())
    result = disarmed(1 << max(len(rows) - 1, 0).bit_length(), capacity)
    for number, row in enumerate(rows):
        same = (row.words == row.words[0]).all()
        one = fault_row(
            site=row.fault.site,
            replica=row.context,
            start=int(row.elements[0]),
            count=len(row.elements),
            operation="replace",
            keep=row.fault.keep,
            words=row.words[: 1 if same else None].tolist(),
            capacity=capacity,
        )
        result.faults[number], result.words[number] = one.faults[0], one.words[0]
    return result


def operands(rows: Sequence[Row]) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return the context of replica 0, the faults and the words of rows, as tensors."""
    descriptor = descriptor_of(rows)
    values = tf.constant(descriptor.faults), tf.constant(descriptor.words)
    return tf.constant(context(0), tf.int64), *values
