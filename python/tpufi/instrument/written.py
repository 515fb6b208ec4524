# SPDX-License-Identifier: Apache-2.0
"""Indices and numbers as users write them in faults."""

from collections.abc import Sequence

import ml_dtypes
import numpy as np

from tpufi.element import ELEMENTS
from tpufi.errors import InputError
from tpufi.integers import integer

# An element of a tensor: its flat index, or an index for each axis.
Index = int | Sequence[int]


def indices_of(elements: Sequence[Index]) -> Sequence[Index]:
    """Return elements with plain integers.

    Raises:
      InputError: they are no list, or an index is not an integer.
    """
    if isinstance(elements, range):
        return elements
    if not isinstance(elements, (Sequence, np.ndarray)) or isinstance(elements, str):
        raise InputError(f"elements {elements!r:.80}: give a list of indices")
    return tuple(
        tuple(integer("index", one) for one in element)
        if isinstance(element, (Sequence, np.ndarray)) and not isinstance(element, str)
        else integer("element", element)
        for element in elements
    )


def as_number(value: object) -> float:
    """Return a number, integers exactly, or raise InputError."""
    if isinstance(value, (bool, np.bool_)) or isinstance(value, (int, np.integer)):
        return int(value)
    try:
        if isinstance(value, (str, bytes)):
            raise TypeError
        return float(value)
    except (TypeError, ValueError):
        raise InputError(f"value {value!r:.80} is no number") from None


def flat_list(values: object) -> list:
    """Return one value or any nest of values as a list."""
    return np.ravel(np.asarray(values, object)).tolist()


def flat_index(name: str, element: Index, shape: tuple[int | None, ...] | None) -> int:
    """Return the flat, row-major index of an element.

    Args:
      name: of the tensor, for messages.
      element: a flat index, or an index for each axis.
      shape: of the tensor; None where it is not known.

    Raises:
      InputError: an index is outside the tensor, or its shape is not known.
    """
    if not isinstance(element, Sequence):
        return element
    if shape is None or any(dim is None for dim in shape[1:]):
        raise InputError(
            f"{name}: the shape of the tensor is not known before it runs; give "
            "flat indices"
        )
    if len(element) != len(shape):
        raise InputError(
            f"{name}: element {element} has {len(element)} indices, the tensor "
            f"{len(shape)} axes: {shape}"
        )
    flat = 0
    for index, dim in zip(element, shape, strict=True):
        if index < 0 or (dim is not None and index >= dim):
            raise InputError(
                f"{name}: index {index} of element {element} is outside [0, "
                f"{dim or 'size'})"
            )
        flat = flat * (dim or 1) + index
    return flat


def _to_odd(value: np.float64) -> np.float32:
    """Return the float32 of which narrower types make what they make of the number.

    Of the two neighbours of a number between them it is the one with an odd last bit,
    so that no tie arises that the number itself is not.
    """
    near = np.float32(value)
    if not np.isfinite(near) or near == value or near.view(np.uint32) & 1:
        return near
    return np.nextafter(near, np.float32(np.copysign(np.inf, value - near)))


def word_of(name: str, value: float, dtype: str) -> int:
    """Return the bits of a number in an element type.

    Args:
      name: of the tensor, for messages.
      value: the number.
      dtype: the type; `bool` has one bit.

    Raises:
      InputError: the type has no such number.
    """
    if dtype == "bool":
        if value not in (0, 1):
            raise InputError(f"{name}: value {value} is no bool; choose 0 or 1")
        return int(value)
    kind = ELEMENTS[dtype]
    if kind.exponent_bits == 0:
        least, most = np.iinfo(kind.numpy).min, np.iinfo(kind.numpy).max
        if value != value or not least <= value <= most or int(value) != value:
            raise InputError(
                f"{name}: value {value} is no {dtype}; choose an integer from "
                f"{least} to {most}"
            )
        return int(value) & kind.mask
    with np.errstate(over="ignore", invalid="ignore"):
        double = np.float64(value)
        narrow = np.dtype(kind.numpy).kind != "f"  # ml_dtypes rounds to float32 first.
        number = np.asarray(_to_odd(double) if narrow else double).astype(kind.numpy)
    if np.isfinite(double) and not np.isfinite(number.astype(np.float64)):
        most = ml_dtypes.finfo(kind.numpy).max
        raise InputError(
            f"{name}: value {value} is too large for {dtype}, whose largest "
            f"number is {float(most):g}; give inf or bits= to write no number"
        )
    return int(number.view(kind.word))
