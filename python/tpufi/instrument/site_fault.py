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


@dataclasses.dataclass(frozen=True)
class SiteFault:
    """Changes elements of one site from x to `(x & keep) ^ word`.

    Args:
      site: id of the site.
      elements: distinct flat indices of the struck elements.
      keep: bits that are kept.
      words: one word for all elements, or one for each.
      iterations: for a site in loops, the iteration of each of them in which the fault
        strikes, from the outermost; None: every execution.
      replica: the struck replica; None: every one.
    """

    site: int
    elements: Sequence[int]
    keep: int
    words: Sequence[int]
    iterations: tuple[int, ...] | None = None
    replica: int | None = None


def flip(site: int, element: int, bit: int, **where) -> SiteFault:
    """Return the fault that flips a bit of an element; bit 0 is least significant."""
    if bit < 0:
        raise InputError(f"bit {bit} is negative; bit 0 is the least significant")
    return SiteFault(site, (element,), -1, (1 << bit,), **where)


def zero(site: int, elements: Sequence[int], **where) -> SiteFault:
    """Return the fault that makes elements +0."""
    return SiteFault(site, elements, 0, (0,), **where)


def replace(
    site: int, elements: Sequence[int], words: Sequence[int], **where
) -> SiteFault:
    """Return the fault that replaces elements by given bits."""
    return SiteFault(site, elements, 0, tuple(words), **where)


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
        raise InputError(f"{site.name}: an element is struck twice; name it once")
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
        struck = range(replicas) if fault.replica is None else [fault.replica]
        contexts = [context(r, fault.iterations) for r in struck]
    elif fault.replica is not None:
        raise InputError(
            "a fault in every iteration strikes every replica, not only "
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
