# SPDX-License-Identifier: Apache-2.0
"""TensorFI's bit model: a sign and 21 integer bits; float64 has 10 fraction bits too.

It is not the format of the element. A flip of a place adds or subtracts its value from
the magnitude; the other positions of a number, exponents included, never flip. Results
published with TensorFI since October 2020 are of this model.
"""

import math

import numpy as np

INTEGER_BITS = 21
FRACTION_BITS = 10
SIGN = 0


def positions(dtype: str) -> int:
    """Return how many positions an element of this type has."""
    return 1 + INTEGER_BITS + (FRACTION_BITS if dtype == "float64" else 0)


def flip(value: np.generic, position: int) -> np.generic:
    """Return a value with one position flipped.

    Args:
      value: a number; NaN and infinities stay as they are.
      position: 0 is the sign, 1 to 21 the places 2^20 to 2^0, then 2^-1 to 2^-10.

    Example:
      >>> float(flip(np.float32(2.5), 20)), float(flip(np.float32(2.5), 0))
      (0.5, -2.5)
    """
    kind = type(value)
    number = float(value)
    if not math.isfinite(number):
        return value
    if position == SIGN:
        return _cast(kind, -number)
    size = abs(number)
    whole = f"{int(size):0{INTEGER_BITS}b}"[:INTEGER_BITS]
    parts = int((size - int(size)) * (1 << FRACTION_BITS))
    digits = whole + f"{parts:0{FRACTION_BITS}b}"
    place = 2.0 ** (INTEGER_BITS - position)
    size += -place if digits[position - 1] == "1" else place
    return _cast(kind, math.copysign(size, number))


def _cast(kind: type, number: float) -> np.generic:
    if issubclass(kind, np.integer):
        width = 8 * np.dtype(kind).itemsize  # Too large numbers wrap, as in C.
        return np.array([int(number) % (1 << width)], np.uint64).astype(kind)[0]
    with np.errstate(over="ignore"):
        return kind(number)
