# SPDX-License-Identifier: Apache-2.0
"""Faults in an instrumented program as users write them in Python."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from tpufi.descriptor import CAPACITY, EVERY_REPLICA
from tpufi.element import width_of
from tpufi.errors import InputError
from tpufi.fault import Elements, Fault
from tpufi.faults.broken_unit import BrokenUnit
from tpufi.faults.injection_file import GIVEN, DrawnInjection, InjectionFile
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
from tpufi.units import UnitFault
from tpufi.when import ALWAYS, ONCE
from tpufi.when_text import when_text

_FAR = 1 << 63


@dataclasses.dataclass(frozen=True)
class SiteFault:
    """Changes elements of one site from x to `(x & keep) ^ word`.

    It is written without knowing the site; `fault` is the fault that it is there.

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

    def fault(self, site: GraphSite) -> Fault:
        """Return the fault at its site.

        Raises:
          InputError: an index is outside the tensor, a value is not one of its type, or
            there are other numbers of words or iterations than there have to be.
        """
        flat = [
            flat_index(site.name, one, site.shape) for one in indices_of(self.elements)
        ]
        if any(not -_FAR <= one < _FAR for one in flat):
            raise InputError(f"{site.name}: an element is outside the tensor")
        elements = np.array(flat, np.int64)
        words = [integer(f"{site.name}: word", word) for word in self.words]
        if self.values is not None:
            numbers = map(as_number, self.values)
            words = [word_of(site.name, number, site.dtype) for number in numbers]
        _check(site, elements, words)
        order = np.argsort(elements, kind="stable")
        elements = elements[order]
        if len(words) > 1 and any(word != words[0] for word in words):
            words = [words[i] for i in order.tolist()]
        else:
            words = words[:1]
        together = elements[-1] - elements[0] == len(elements) - 1
        mask = (1 << width_of(site.dtype)) - 1
        keep = integer(f"{site.name}: keep", self.keep) & mask
        return Fault(
            model=GIVEN,
            site=site.name,
            dtype=site.dtype,
            shape=site.known_shape,
            replica=EVERY_REPLICA if self.replica is None else self.replica,
            epoch=0,
            step=0,
            duration=1,
            # Words of their own for a long run need a row as long.
            elements=Elements.run(int(elements[0]), len(elements))
            if together and len(words) <= CAPACITY
            else Elements.of(elements),
            operation="flip" if keep == mask else "replace",
            keep=0 if keep == mask else keep,
            words=tuple(int(word) for word in words),
            iterations=self.iterations,
        )


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
      InputError: an argument is not an integer, or the bit is none of 64.

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
      InputError: an argument is not an integer.
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
      InputError: there are both values and bits, or none; or one is not a number, or no
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


# What is written of a fault; a drawn or a replayed one is complete.
AnyFault = SiteFault | Fault
# What a call of a program can be given.
Given = AnyFault | UnitFault


def listed(faults: object) -> tuple[Given, ...]:
    """Return one fault, several, or sequences of them as one tuple.

    A unit that was drawn is what is broken of it: a call counts its steps.

    Raises:
      InputError: there is something else, or an injection file of a workload's layer.
    """
    if isinstance(faults, Given):
        return (faults,)
    if isinstance(faults, InjectionFile):
        return (_of_file(faults),)
    if isinstance(faults, BrokenUnit):
        return (faults.fault,)
    if isinstance(faults, Sequence) and not isinstance(faults, str):
        return tuple(one for part in faults for one in listed(part))
    raise InputError(f"{faults!r:.80} is no fault; make one with flip, zero or replace")


def on_site(given: AnyFault, site: GraphSite) -> Fault:
    """Return a fault at a site, once it fits.

    Raises:
      InputError: it does not fit.
    """
    if isinstance(given, SiteFault):
        fault = given.fault(site)
    else:
        fault = given
        mine = fault.dtype, fault.shape
        if mine != (site.dtype, site.known_shape):
            raise InputError(
                f"the fault was drawn for {fault.site}, {fault.dtype} {fault.shape}, "
                f"but {site.name} is {site.dtype} {site.known_shape}; call the program "
                "with the shape it was drawn for"
            )
        if fault.affected is not None or (fault.stale and not fault.words):
            what = "confined to some results" if fault.affected else "stale"
            raise InputError(
                f"the fault {fault.model} at {fault.site} is {what}, which a single "
                "call of a program cannot have; choose a fault model that is not"
            )
    if fault.when is not None and fault.when.steps_only not in (ONCE, ALWAYS):
        raise InputError(
            f"the fault {fault.model} at {fault.site} has a moment, "
            f"{when_text(fault.when)}, which a single call of a program cannot have; "
            "leave out all but between and exponents"
        )
    if fault.iterations is not None and len(fault.iterations) != site.loops:
        raise InputError(
            f"{site.name}: {len(fault.iterations)} iterations for a site in "
            f"{site.loops} loops; give one for each loop, or None for every execution"
        )
    return fault


def _of_file(injection: InjectionFile) -> Fault:
    if isinstance(injection, DrawnInjection):
        return injection.drawn
    raise InputError(
        f"the injection is in layer {injection.target_layer} of workload "
        f"{injection.model}, and only a file with a row site has one of a program; "
        "replay it with tpufi replay, or write a file with write_injection"
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


def _check(site: GraphSite, elements: np.ndarray, words: Sequence[int]) -> None:
    if len(elements) == 0:
        raise InputError(f"{site.name}: a fault without elements; name at least one")
    if len(np.unique(elements)) != len(elements):
        raise InputError(f"{site.name}: an element is named twice; name it once")
    low, high, size = elements.min(), elements.max(), site.size
    if low < 0 or (size is not None and high >= size):
        wrong = low if low < 0 else high
        raise InputError(
            f"{site.name}: element {wrong} is outside [0, {size or 'size'}); choose "
            "one inside"
        )
    width = width_of(site.dtype)
    for word in words:
        if not 0 <= word < 1 << width:
            raise InputError(
                f"{site.name}: word {word:#x} is wider than the {width} bits of "
                f"{site.dtype}; choose bits 0 to {width - 1}"
            )
    if len(words) not in (1, len(elements)):
        raise InputError(
            f"{site.name}: {len(words)} words for {len(elements)} elements; give one, "
            "or one for each"
        )
