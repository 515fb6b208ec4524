# SPDX-License-Identifier: Apache-2.0
"""Value rules that flip bits of one field of an element."""

import dataclasses

from tpufi.element import Element
from tpufi.errors import InputError
from tpufi.faults.positions import Positions
from tpufi.faults.value_rules import Value, ValueRule
from tpufi.sampling.draws import Draws

FIELDS = ("all", "sign", "exponent", "mantissa")


@dataclasses.dataclass(frozen=True)
class FlipBits(ValueRule):
    """Different bits of one field flip, drawn anew for every element.

    Args:
      bits: how many bits, >= 1; all sets of so many are equally likely.
      field: `all`, or for floats `sign`, `exponent` or `mantissa`.
      adjacent: the bits stand next to each other; all places are equally likely.

    Raises:
      InputError: unknown field or no bits.
    """

    bits: int = 1
    field: str = "all"
    adjacent: bool = False

    def __post_init__(self) -> None:
        if self.field not in FIELDS:
            raise InputError(
                f"field {self.field!r} is unknown; known: {', '.join(FIELDS)}"
            )
        if self.bits < 1:
            raise InputError(f"{self.bits} bits to flip; choose 1 or more")

    def misfit(self, element: Element) -> str | None:
        if self.field != "all" and not element.exponent_bits:
            return f"{element.name} has no {self.field}"
        _, width = self._field(element)
        if self.bits > width:
            return (
                f"{self.bits} bits are more than the {width} of {element.name} (field "
                f"{self.field})"
            )
        return None

    def draw(
        self, draws: Draws, element: Element, positions: Positions, size: int
    ) -> Value:
        lowest, width = self._field(element)
        if self.adjacent or self.bits == 1:
            places = draws.integers(width - self.bits + 1, positions.count, "bit")
            masks = [((1 << self.bits) - 1) << place for place in places]
        else:
            chosen = [
                draws.distinct(width, self.bits, f"bits of element {i}")
                for i in range(positions.count)
            ]
            masks = [sum(1 << bit for bit in bits) for bits in chosen]
        return Value("flip", 0, tuple(mask << lowest for mask in masks))

    def _field(self, element: Element) -> tuple[int, int]:
        """Return the lowest bit and the width of the field."""
        mantissa, exponent = element.mantissa_bits, element.exponent_bits
        return {
            "all": (0, element.bits),
            "sign": (element.bits - 1, 1),
            "exponent": (mantissa, exponent),
            "mantissa": (0, mantissa),
        }[self.field]
