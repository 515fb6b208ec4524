# SPDX-License-Identifier: Apache-2.0
"""What a fault writes: the value rules and the bits they draw."""

import abc
import dataclasses
import math
from typing import NamedTuple

import numpy as np

from tpufi.descriptor import CAPACITY
from tpufi.element import Element, to_words
from tpufi.errors import InputError
from tpufi.fault import Elements
from tpufi.faults.draws import Draws


class Value(NamedTuple):
    """What is done to an element; see `tpufi.fault.Fault`."""

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
        self, draws: Draws, element: Element, positions: Elements, size: int
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
        self, draws: Draws, element: Element, positions: Elements, size: int
    ) -> Value:
        bit = 1 << draws.below(element.bits, "bit")
        level = draws.below(2, "level") if self.level is None else self.level
        return Value("replace", element.mask & ~bit, (bit * level,))


@dataclasses.dataclass(frozen=True)
class RandomFinite(ValueRule):
    """Random bits of a finite value, independently for every element."""

    most = None

    def draw(
        self, draws: Draws, element: Element, positions: Elements, size: int
    ) -> Value:
        return Value("random", 0, (draws.word("value key"),))


@dataclasses.dataclass(frozen=True)
class CopyRandomPosition(ValueRule):
    """A value of the same tensor from a uniform position, drawn for every element."""

    most = None

    def draw(
        self, draws: Draws, element: Element, positions: Elements, size: int
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
        self, draws: Draws, element: Element, positions: Elements, size: int
    ) -> Value:
        first, second = positions.indices().tolist()
        return Value("copy", 0, (second, first))


@dataclasses.dataclass(frozen=True)
class Stale(ValueRule):
    """The value that the element had one step earlier; see `tpufi.fault`."""

    stale = True

    def draw(
        self, draws: Draws, element: Element, positions: Elements, size: int
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
        self, draws: Draws, element: Element, positions: Elements, size: int
    ) -> Value:
        key = draws.word("value key")
        return Value("error_rate", element.mask, (key, self.threshold))


FIELDS = ("all", "sign", "exponent", "mantissa")


@dataclasses.dataclass(frozen=True)
class FlipBits(ValueRule):
    """Different bits of one field flip, drawn separately for every element.

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
        self, draws: Draws, element: Element, positions: Elements, size: int
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


@dataclasses.dataclass(frozen=True)
class Constant(ValueRule):
    """Every element becomes `value`, rounded to its type.

    NaN is the quiet NaN without payload and sign.

    Args:
      value: the number; integers only for integer types.
    """

    value: float
    most = None

    def misfit(self, element: Element) -> str | None:
        if element.exponent_bits:
            if math.isinf(self.value) and not element.has_infinity:
                return f"{element.name} has no infinity"
            lost = math.isfinite(self.value) and not np.isfinite(
                rounded(self.value, element)
            )
            return f"{self.value} is beyond {element.name}" if lost else None
        if not float(self.value).is_integer():
            return f"{self.value} is not a number of type {element.name}"
        limits = np.iinfo(element.numpy)
        if limits.min <= self.value <= limits.max:
            return None
        return f"{self.value} is beyond {element.name}"

    def draw(
        self, draws: Draws, element: Element, positions: Elements, size: int
    ) -> Value:
        if math.isnan(self.value):
            word = element.nan
        else:
            word = word_of(self.value, element)
        if word == 0:
            return Value("zero", 0, ())
        return Value("replace", 0, (word,))


@dataclasses.dataclass(frozen=True)
class Noise(ForFloats):
    """x becomes x + e, or x * (1 + e), e normal with mean 0, drawn for every element.

    Args:
      deviation: standard deviation of e, > 0.
      relative: whether e is a part of x.
    """

    deviation: float
    relative: bool = False

    def draw(
        self, draws: Draws, element: Element, positions: Elements, size: int
    ) -> Value:
        noise = draws.normals(positions.count, "noise")
        mean = 1 if self.relative else 0
        words = tuple(word_of(mean + self.deviation * e, element) for e in noise)
        return Value("multiply" if self.relative else "add", 0, words)


def rounded(value: float, element: Element) -> np.generic:
    """Return a number as an element has it; a whole one for integers."""
    with np.errstate(over="ignore"):
        number = int(value) if not element.exponent_bits else value
        return np.array(number).astype(element.numpy)


def word_of(value: float, element: Element) -> int:
    """Return the bits of a number as an element has it."""
    return int(to_words(np.atleast_1d(rounded(value, element)))[0])
