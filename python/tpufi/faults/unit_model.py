# SPDX-License-Identifier: Apache-2.0
"""What unit faults are drawn from: a kind of unit, its places, operations and bits."""

import dataclasses
import fnmatch
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tpufi.element import element
from tpufi.errors import InputError
from tpufi.faults.broken_unit import BrokenUnit, kind_text
from tpufi.faults.draws import Draws
from tpufi.messages import nearest_first, quote
from tpufi.site_table import BACKWARD, EVERY, Site
from tpufi.units import (
    LANES,
    SUBLANES,
    Link,
    MemoryAddress,
    ProcessingElement,
    SavedActivation,
    Unit,
    UnitFault,
    VectorLane,
)
from tpufi.when import ALWAYS, When
from tpufi.when_text import when_text

OPERATIONS = ("flip", "zero", "stuck_0", "stuck_1")
# Fields of a unit that say which one of its kind it is.
PLACES: Mapping[type[Unit], tuple[str, ...]] = {
    ProcessingElement: ("row", "column"),
    VectorLane: ("lane", "sublane"),
    MemoryAddress: ("index",),
    SavedActivation: ("element",),
    Link: ("chunk",),
}
_LAYERS = "every layer"
_SUMS = 32  # Bits of the partial sums of narrower numbers.


class Addresses(NamedTuple):
    """What of a workload a unit can store, by name, and how many elements it has.

    Args:
      dtype: of the workload.
      stored: weights, slots and statistics.
      kept: of each layer, what its backward pass reads.
    """

    dtype: str
    stored: Mapping[str, int]
    kept: Mapping[str, int]


@dataclasses.dataclass(frozen=True)
class UnitModel:
    """A kind of unit, which a campaign breaks in another place for each experiment.

    Args:
      unit: of that kind; the name of a tensor or layer may be a shell pattern.
      drawn: fields of the unit that are drawn, among `PLACES`, every one as likely;
        the others are as the unit has them. None: all. Tensors and layers are drawn by
        their elements.
      operations: what a broken unit may do to a value, among `OPERATIONS`: each as
        likely. A `Link` that corrupts nothing does what its error says.
      bits: first and last bit that may flip or be stuck; None: all of the type.
      when: in which steps and operations it is broken, from the drawn step on; the key
        of a rate is drawn.

    Raises:
      InputError: the parts do not go together.
    """

    unit: Unit
    drawn: tuple[str, ...] | None = None
    operations: tuple[str, ...] = ("flip",)
    bits: tuple[int, int] | None = None
    when: When = ALWAYS

    def __post_init__(self) -> None:
        places = PLACES[type(self.unit)]
        for field in self.drawn or ():
            if field not in places:
                known = ", ".join(places)
                raise InputError(
                    f"unit: {quote(field)} cannot be drawn; known: {known}"
                )
        if not self.operations:
            raise InputError("unit: operation: none; choose at least one")
        for name in self.operations:
            if name not in OPERATIONS or self.operations.count(name) > 1:
                known = ", ".join(OPERATIONS)
                raise InputError(
                    f"unit: operation {quote(name)}; expected different ones of {known}"
                )
        if not self.has_bits and self.bits is not None:
            raise InputError(
                "unit: bit: nothing of it keeps or flips a bit; remove the key"
            )
        if self.bits is not None and not 0 <= self.bits[0] <= self.bits[1] < 64:
            raise InputError(
                f"unit: bit {self.bits[0]} to {self.bits[1]}; expected 0 <= first <= "
                "last < 64"
            )
        self.fault(self.unit, self.operations[0], 0)  # Refuses a moment.

    @property
    def name(self) -> str:
        """The kind of unit and when it is broken, which tell experiments apart."""
        kind, pattern = kind_text(self.unit), self._pattern
        if pattern not in ("", "*"):
            kind += f":{pattern}"
        return f"{kind} {when_text(dataclasses.replace(self.when, key=0))}"

    @property
    def stale(self) -> bool:
        """Whether its faults need the step before."""
        return self.unit.stale

    @property
    def has_bits(self) -> bool:
        """Whether a bit is drawn."""
        corrupts = not isinstance(self.unit, Link) or self.unit.error == "corrupted"
        return corrupts and self.operations != ("zero",)

    def sites(self, addresses: Addresses) -> tuple[tuple[Site, int], ...]:
        """Return what a unit of this kind can be a part of, with weights.

        Args:
          addresses: of the workload.

        Raises:
          InputError: there is nothing of that name, or no such bit or element.
        """
        width = self._width(addresses.dtype)
        if self.has_bits and self.bits is not None and self.bits[1] >= width:
            raise InputError(
                f"unit: bit {self.bits[1]} is not 0 to {width - 1} of "
                f"{addresses.dtype}; choose 0 to {width - 1}"
            )
        kind, op = kind_text(self.unit), type(self.unit).__name__

        def site(layer: str, direction: str, operand: str, size: int, name: str = ""):
            shape, dtype = (size,), addresses.dtype
            return Site(layer, direction, operand, shape, dtype, op, name or kind)

        match self.unit:
            case ProcessingElement(rows=rows, columns=columns):
                return ((site(_LAYERS, EVERY, "product", rows * columns), 1),)
            case VectorLane():
                return ((site(_LAYERS, EVERY, "result", LANES * SUBLANES), 1),)
            case Link(chunks=chunks):
                return ((site(_LAYERS, EVERY, "gradients", chunks), 1),)
            case MemoryAddress():
                found = self._matching(addresses.stored, "tensor")
                direction, split = EVERY, True
            case _:
                found = self._matching(addresses.kept, "layer")
                direction, split = BACKWARD, False
        sites = []
        for name, size in found.items():
            layer, _, operand = name.partition("/") if split else (name, "", "saved")
            at = site(layer, direction, operand or "weight", size, f"{kind}:{name}")
            sites.append((at, size))
        return tuple(sites)

    def draw(
        self,
        draws: Draws,
        site: Site,
        replicas: Sequence[int],
        epoch: int,
        step: int,
    ) -> BrokenUnit:
        """Return the fault of an experiment.

        Args:
          draws: its choices.
          site: one of `sites`.
          replicas: that the broken chip may serve.
          epoch: epoch of its first step.
          step: that step in its epoch.
        """
        unit = self._named(site)
        for field in self._drawn:
            bound = self._bound(field, site)
            value = draws.below(bound, f"unit {field}")
            unit = dataclasses.replace(unit, **{field: value})
        operation = self.operations[draws.below(len(self.operations), "operation")]
        first, last = self.bits or (0, self._width(site.dtype) - 1)
        bit = first + draws.below(last - first + 1, "bit")
        when = self.when
        if when.rate < 1:
            when = dataclasses.replace(when, key=draws.word("when"))
        replica = replicas[draws.below(len(replicas), "replica")]
        fault = dataclasses.replace(
            self.fault(unit, operation, bit), replica=replica, when=when
        )
        return BrokenUnit(self.name, site.name, epoch, step, fault)

    def whole(self, site: Site) -> UnitFault:
        """Return a unit of this kind that is broken in no step.

        Args:
          site: one of `sites`.
        """
        return self.fault(self._named(site), self.operations[0], 0).whole

    def fault(self, unit: Unit, operation: str, bit: int) -> UnitFault:
        """Return what a unit does.

        Args:
          unit: the unit.
          operation: among `OPERATIONS`.
          bit: 0 is the least significant.
        """
        when = {"when": self.when}
        if isinstance(unit, Link) and unit.error != "corrupted":
            return UnitFault(unit, "zero", **when)
        if operation == "zero":
            return UnitFault(unit, "zero", **when)
        if operation == "flip":
            return UnitFault.flipped(unit, bit, **when)
        return UnitFault.stuck(unit, bit, int(operation == "stuck_1"), **when)

    def _named(self, site: Site) -> Unit:
        """Return the unit with the name of the tensor or layer of a site."""
        if not self._pattern:
            return self.unit
        field = "tensor" if isinstance(self.unit, MemoryAddress) else "layer"
        return dataclasses.replace(
            self.unit, **{field: site.own_name.partition(":")[2]}
        )

    @property
    def _drawn(self) -> tuple[str, ...]:
        return PLACES[type(self.unit)] if self.drawn is None else self.drawn

    @property
    def _pattern(self) -> str:
        """Of tensors or layers; empty: the unit is a part of no one of them."""
        match self.unit:
            case MemoryAddress(tensor=name) | SavedActivation(layer=name):
                return name
        return ""

    def _bound(self, field: str, site: Site) -> int:
        """Return how many values a field can have."""
        match self.unit:
            case ProcessingElement(rows=rows, columns=columns):
                return rows if field == "row" else columns
            case VectorLane():
                return LANES if field == "lane" else SUBLANES
        return site.size

    def _width(self, dtype: str) -> int:
        bits, unit = element(dtype).bits, self.unit
        sums = isinstance(unit, ProcessingElement) and unit.register == "accumulator"
        return max(bits, _SUMS) if sums else bits

    def _matching(self, sizes: Mapping[str, int], what: str) -> dict[str, int]:
        """Return those that the pattern names."""
        matches = re.compile(fnmatch.translate(self._pattern)).fullmatch
        found = {name: size for name, size in sizes.items() if matches(name)}
        if not found:
            raise InputError(
                f"unit: {what} {quote(self._pattern)} matches none of {len(sizes)}; "
                f"nearest: {nearest_first(self._pattern, sizes, limit=3) or 'none'}"
            )
        if not self._drawn:
            (index,) = self.unit.place
            small = next((n for n, size in found.items() if index >= size), None)
            if small:
                raise InputError(
                    f"unit: element {index} lies outside {small} of {found[small]} "
                    f"elements; choose 0 to {found[small] - 1}"
                )
        return found
