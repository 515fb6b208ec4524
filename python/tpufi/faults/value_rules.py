# SPDX-License-Identifier: Apache-2.0
"""What a fault writes: the value rules and the bits they draw."""

import abc
import dataclasses
from typing import NamedTuple

from tpufi.descriptor import CAPACITY
from tpufi.element import Element
from tpufi.faults.positions import Positions
from tpufi.sampling.draws import Draws


class Value(NamedTuple):
    """What is done to an element; see `tpufi.faults.fault.Fault`."""

    operation: str
    keep: int
    words: tuple[int, ...]


class ValueRule(abc.ABC):
    """A rule that draws the bits written to the elements."""

    most: int | None = CAPACITY  # Most elements it can serve; None: any number.
    stale = False  # Whether the bits are those of the previous step.

    def misfit(self, element: Element) -> str | None:
        """Return why elements of this type have no such fault, or None if they do."""
        del element
        return None

    @abc.abstractmethod
    def draw(
        self, draws: Draws, element: Element, positions: Positions, size: int
    ) -> Value:
        """Draw the bits for elements at `positions` of a tensor of `size` elements."""


class ForFloats(ValueRule):
    """A rule that is defined for floating-point elements only."""

    def misfit(self, element: Element) -> str | None:
        return None if element.exponent_bits else f"{element.name} is not a float type"


@dataclasses.dataclass(frozen=True)
class StuckAt(ValueRule):
    """One uniformly drawn bit, the same in all elements, is `level`.

    Args:
      level: 0 or 1; None draws it.
    """

    level: int | None
    most = None

    def draw(
        self, draws: Draws, element: Element, positions: Positions, size: int
    ) -> Value:
        bit = 1 << draws.below(element.bits, "bit")
        level = draws.below(2, "level") if self.level is None else self.level
        return Value("replace", element.mask & ~bit, (bit * level,))


@dataclasses.dataclass(frozen=True)
class RandomFinite(ValueRule):
    """Random bits of a finite value, independently for every element."""

    most = None

    def draw(
        self, draws: Draws, element: Element, positions: Positions, size: int
    ) -> Value:
        return Value("random", 0, (draws.word("value key"),))


@dataclasses.dataclass(frozen=True)
class CopyRandomPosition(ValueRule):
    """A value of the same tensor from a uniform position, drawn for every element."""

    most = None

    def draw(
        self, draws: Draws, element: Element, positions: Positions, size: int
    ) -> Value:
        if positions.count > CAPACITY:
            return Value("copy_random", 0, (draws.word("source key"),))
        sources = draws.integers(size, positions.count, "sources")
        return Value("copy", 0, tuple(sources))


@dataclasses.dataclass(frozen=True)
class Swap(ValueRule):
    """Two elements change places."""

    most = 2

    def draw(
        self, draws: Draws, element: Element, positions: Positions, size: int
    ) -> Value:
        first, second = positions.indices().tolist()
        return Value("copy", 0, (second, first))


@dataclasses.dataclass(frozen=True)
class Stale(ValueRule):
    """The value that the element had one step earlier; see `tpufi.faults.stale`."""

    stale = True

    def draw(
        self, draws: Draws, element: Element, positions: Positions, size: int
    ) -> Value:
        return Value("replace", 0, ())


@dataclasses.dataclass(frozen=True)
class ErrorRate(ValueRule):
    """Every bit flips with probability `rate`, independently.

    Args:
      rate: 2**-32 <= rate < 1; rounded to a multiple of 2**-32.
    """

    rate: float
    most = None

    @property
    def threshold(self) -> int:
        """The rate in units of 2**-32."""
        return round(self.rate * 2**32)

    def draw(
        self, draws: Draws, element: Element, positions: Positions, size: int
    ) -> Value:
        key = draws.word("value key")
        return Value("error_rate", element.mask, (key, self.threshold))
