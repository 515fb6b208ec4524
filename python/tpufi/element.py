# SPDX-License-Identifier: Apache-2.0
"""Bit layouts of the element types, and bits of numpy values."""

import dataclasses

import ml_dtypes
import numpy as np

from tpufi.messages import quote


@dataclasses.dataclass(frozen=True)
class Element:
    """Layout of one element type; bit 0 is the least significant.

    Args:
      name: TensorFlow's name of the type.
      numpy: the numpy type.
      bits: width.
      exponent_bits: width of the exponent field, 0 for integers.
      mantissa_bits: width of the mantissa field, 0 for integers.
      has_infinity: False for float8_e4m3fn, whose only values that are no numbers are
        the two NaN with all other bits set.
    """

    name: str
    numpy: np.dtype
    bits: int
    exponent_bits: int = 0
    mantissa_bits: int = 0
    has_infinity: bool = True

    @property
    def mask(self) -> int:
        """All bits of the element."""
        return (1 << self.bits) - 1

    @property
    def nan(self) -> int:
        """The positive quiet NaN without payload, which arithmetic writes; floats."""
        if not self.has_infinity:
            return self.mask >> 1
        return ((1 << self.exponent_bits + 1) - 1) << self.mantissa_bits - 1

    @property
    def word(self) -> np.dtype:
        """Unsigned integer type of the same width."""
        return np.dtype(f"uint{self.bits}")


ELEMENTS = {
    e.name: e
    for e in (
        Element("float32", np.dtype(np.float32), 32, 8, 23),
        Element("bfloat16", np.dtype(ml_dtypes.bfloat16), 16, 8, 7),
        Element("float16", np.dtype(np.float16), 16, 5, 10),
        Element("float64", np.dtype(np.float64), 64, 11, 52),
        Element("float8_e5m2", np.dtype(ml_dtypes.float8_e5m2), 8, 5, 2),
        Element("float8_e4m3fn", np.dtype(ml_dtypes.float8_e4m3fn), 8, 4, 3, False),
        Element("int8", np.dtype(np.int8), 8),
        Element("uint8", np.dtype(np.uint8), 8),
        Element("int16", np.dtype(np.int16), 16),
        Element("uint16", np.dtype(np.uint16), 16),
        Element("int32", np.dtype(np.int32), 32),
        Element("uint32", np.dtype(np.uint32), 32),
        Element("int64", np.dtype(np.int64), 64),
        Element("uint64", np.dtype(np.uint64), 64),
    )
}


# Of truth values in a program of the user: one bit, which the ops see as a uint8.
BOOL = "bool"


def width_of(dtype: str) -> int:
    """Return the bits of an element of the type called `dtype`; a `bool` has one."""
    return 1 if dtype == BOOL else element(dtype).bits


def element(dtype: str) -> Element:
    """Return the layout of the element type called `dtype`.

    Raises:
      ValueError: faults are not defined for this type.
    """
    if dtype not in ELEMENTS:
        raise ValueError(
            f"element type {quote(dtype)} cannot carry faults; known: "
            f"{', '.join(ELEMENTS)}"
        )
    return ELEMENTS[dtype]


def to_words(values: np.ndarray) -> np.ndarray:
    """Return the bits of `values` as uint64, element by element."""
    layout = element(values.dtype.name)
    return values.view(layout.word).astype(np.uint64)


def from_words(words: np.ndarray, dtype: str) -> np.ndarray:
    """Return the values of type `dtype` whose bits are the low bits of `words`."""
    layout = element(dtype)
    return np.asarray(words, np.uint64).astype(layout.word).view(layout.numpy)
