# SPDX-License-Identifier: Apache-2.0
"""Value rules that write or add numbers: constants and Gaussian noise."""

import dataclasses
import math

import numpy as np

from tpufi.element import Element, to_words
from tpufi.faults.positions import Positions
from tpufi.faults.value_rules import ForFloats, Value, ValueRule
from tpufi.sampling.draws import Draws


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
                _number(self.value, element)
            )
            return f"{self.value} is beyond {element.name}" if lost else None
        if not float(self.value).is_integer():
            return f"{self.value} is not a number of type {element.name}"
        limits = np.iinfo(element.numpy)
        if limits.min <= self.value <= limits.max:
            return None
        return f"{self.value} is beyond {element.name}"

    def draw(
        self, draws: Draws, element: Element, positions: Positions, size: int
    ) -> Value:
        if math.isnan(self.value):
            word = element.nan
        else:
            word = _word(self.value, element)
        if word == 0:
            return Value("zero", 0, ())
        return Value("replace", 0, (word,))


@dataclasses.dataclass(frozen=True)
class AddNoise(ForFloats):
    """x becomes x + e, e normal with mean 0, drawn for every element.

    Args:
      deviation: standard deviation of e, > 0.
    """

    deviation: float

    def draw(
        self, draws: Draws, element: Element, positions: Positions, size: int
    ) -> Value:
        noise = draws.normals(positions.count, "noise")
        words = tuple(_word(self.deviation * e, element) for e in noise)
        return Value("add", 0, words)


@dataclasses.dataclass(frozen=True)
class RelativeNoise(ForFloats):
    """x becomes x * (1 + e), e normal with mean 0, drawn for every element.

    Args:
      deviation: standard deviation of e, > 0.
    """

    deviation: float

    def draw(
        self, draws: Draws, element: Element, positions: Positions, size: int
    ) -> Value:
        noise = draws.normals(positions.count, "noise")
        words = tuple(_word(1 + self.deviation * e, element) for e in noise)
        return Value("multiply", 0, words)


def _number(value: float, element: Element) -> np.generic:
    with np.errstate(over="ignore"):
        number = int(value) if not element.exponent_bits else value
        return np.array(number).astype(element.numpy)


def _word(value: float, element: Element) -> int:
    return int(to_words(np.atleast_1d(_number(value, element)))[0])
