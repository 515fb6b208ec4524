# SPDX-License-Identifier: Apache-2.0
"""Whole numbers as a caller writes them: never truncated, never a truth value."""

import operator

import numpy as np

from tpufi.errors import InputError

_LOW, _HIGH = -(1 << 63), (1 << 64) - 1


def integer(what: str, value: object, low: int = _LOW, high: int = _HIGH) -> int:
    """Return a whole number of at most 64 bits.

    Args:
      what: stands in front of the message.
      value: an `int`, or what stands for one, as numpy's integers.
      low: smallest number that it may be.
      high: largest number that it may be.

    Raises:
      InputError: it is something else, a `bool` included, or out of range.

    Example:
      >>> integer("element", np.int32(7))
      7
    """
    try:
        if isinstance(value, bool | np.bool_):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise InputError(f"{what} {value!r:.80} is no integer") from None
    if not low <= number <= high:
        raise InputError(
            f"{what} {number:#x} is outside [{low}, {high}]; choose one inside"
        )
    return number
