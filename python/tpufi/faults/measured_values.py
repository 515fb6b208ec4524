# SPDX-License-Identifier: Apache-2.0
"""Value rules that measured error models need: carries, biases, given words."""

import dataclasses
import itertools
import math

import numpy as np

from tpufi.descriptor import CAPACITY
from tpufi.element import Element, width_of
from tpufi.errors import InputError
from tpufi.fault import Elements
from tpufi.faults.draws import Draws
from tpufi.faults.values import (
    Constant,
    ForFloats,
    Value,
    ValueRule,
    rounded,
    word_of,
)


@dataclasses.dataclass(frozen=True)
class FlipSome(ValueRule):
    """Some bits flip, low ones more often, drawn separately for every element.

    How many is uniform in a range. Each next bit is drawn among those that are left,
    with weight `falling ** bit`, bit 0 the least significant.

    Args:
      least: fewest bits, >= 1.
      largest: most bits, >= `least`.
      falling: weight of a bit over that of the bit below it, above 0, up to 1.

    Raises:
      InputError: a number is out of its range.
    """

    least: int
    largest: int
    falling: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.largest:
            raise InputError(
                f"{self.least} to {self.largest} bits to flip; choose 1 <= least <= "
                "most"
            )
        if not 0 < self.falling <= 1:
            raise InputError(
                f"falling {self.falling} from bit to bit; choose a number above 0, up "
                "to 1"
            )

    def misfit(self, element: Element) -> str | None:
        if self.largest <= element.bits:
            return None
        return f"{self.largest} bits are more than the {element.bits} of {element.name}"

    def draw(
        self, draws: Draws, element: Element, positions: Elements, size: int
    ) -> Value:
        weights = [max(1, round(2**40 * self.falling**b)) for b in range(element.bits)]
        more = draws.integers(self.largest - self.least + 1, positions.count, "bits")
        masks = [
            self._mask(draws, list(weights), self.least + m, f"bit of element {i}")
            for i, m in enumerate(more)
        ]
        return Value("flip", 0, tuple(masks))

    @staticmethod
    def _mask(draws: Draws, weights: list[int], count: int, what: str) -> int:
        mask = 0
        for i in range(count):
            bit = draws.choose(list(itertools.accumulate(weights)), f"{what}, {i}")
            mask |= 1 << bit
            weights[bit] = 0
        return mask


@dataclasses.dataclass(frozen=True)
class Xor(ValueRule):
    """Given bits flip: those of word i mod n in element i of a fault, for n words.

    Args:
      words: the bits, each at least 1, within the width of `dtype`.
      dtype: name of the element type that they are of, the only one it fits.

    Raises:
      InputError: no words, or one that is out of its range.
    """

    words: tuple[int, ...]
    dtype: str

    def __post_init__(self) -> None:
        bits = width_of(self.dtype)
        if not self.words:
            raise InputError("no words to xor; give at least one")
        for word in self.words:
            if not 0 < word < 1 << bits:
                raise InputError(
                    f"word {word:#x} to xor; expected 0x1 to {(1 << bits) - 1:#x} for "
                    f"{self.dtype}"
                )

    @property
    def most(self) -> int | None:
        """Most elements it can serve: any number with a single word."""
        return None if len(self.words) == 1 else CAPACITY

    def misfit(self, element: Element) -> str | None:
        if element.name == self.dtype:
            return None
        return f"its words are of {self.dtype}, not of {element.name}"

    def draw(
        self, draws: Draws, element: Element, positions: Elements, size: int
    ) -> Value:
        if len(self.words) == 1:
            return Value("flip", 0, self.words)
        again = itertools.islice(itertools.cycle(self.words), positions.count)
        return Value("flip", 0, tuple(again))


@dataclasses.dataclass(frozen=True)
class Carry(ValueRule):
    """2**k is added to the bits of an element, or taken from them.

    It is what an adder does that carries where it should not, or does not where it
    should. The bit k is uniform in the mantissa (of integers: in all bits), drawn
    separately for every element; the operation `carry` says how it propagates.

    Args:
      missing: a carry that there was is lost: 2**k is taken.
    """

    missing: bool = False

    def draw(
        self, draws: Draws, element: Element, positions: Elements, size: int
    ) -> Value:
        width = element.mantissa_bits or element.bits
        places = draws.integers(width, positions.count, "carry")
        sign = -1 if self.missing else 1
        return Value("carry", 0, tuple(sign << k & element.mask for k in places))


@dataclasses.dataclass(frozen=True)
class Bias(ForFloats):
    """x becomes x * (1 + e), the same e for all elements.

    Args:
      relative: e, not 0; 1 + e is rounded to the type.

    Raises:
      InputError: e is 0 or not finite.
    """

    relative: float
    most = None

    def __post_init__(self) -> None:
        if not math.isfinite(self.relative) or not self.relative:
            raise InputError(f"bias {self.relative}; choose a number that is not 0")

    def misfit(self, element: Element) -> str | None:
        if reason := super().misfit(element):
            return reason
        factor = rounded(1 + self.relative, element)
        if not np.isfinite(factor):
            return f"1 + {self.relative} is beyond {element.name}"
        if factor == 1:
            return f"1 + {self.relative} is 1 in {element.name}, which changes nothing"
        return None

    def draw(
        self, draws: Draws, element: Element, positions: Elements, size: int
    ) -> Value:
        return Value("multiply", 0, (word_of(1 + self.relative, element),))


NON_FINITE = {
    "any": (math.nan, math.inf, -math.inf),
    "nan": (math.nan,),
    "infinity": (math.inf, -math.inf),
}


@dataclasses.dataclass(frozen=True)
class NonFinite(ForFloats):
    """NaN, +Inf or -Inf, drawn once for all elements.

    Args:
      which: `any`, `nan` or `infinity`. Of a type without infinity `any` is NaN.

    Raises:
      InputError: `which` is unknown.
    """

    which: str = "any"
    most = None

    def __post_init__(self) -> None:
        if self.which not in NON_FINITE:
            raise InputError(
                f"non-finite value {self.which!r} is unknown; known: "
                f"{', '.join(NON_FINITE)}"
            )

    def misfit(self, element: Element) -> str | None:
        if self.which == "infinity" and not element.has_infinity:
            return f"{element.name} has no infinity"
        return super().misfit(element)

    def draw(
        self, draws: Draws, element: Element, positions: Elements, size: int
    ) -> Value:
        known = NON_FINITE[self.which if element.has_infinity else "nan"]
        value = known[draws.below(len(known), "value")]
        return Constant(value).draw(draws, element, positions, size)
