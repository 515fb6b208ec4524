# SPDX-License-Identifier: Apache-2.0
"""How far two tensors are apart, in a few numbers."""

import dataclasses
from collections.abc import Mapping

import numpy as np

ALL = "(all)"


@dataclasses.dataclass(frozen=True)
class Difference:
    """A tensor against its reference.

    Norms and the largest difference are over the elements finite on both sides.

    Args:
      name: name of the variable.
      elements: number of elements.
      norm: Euclidean norm of the reference.
      largest: largest absolute difference.
      relative: Euclidean norm of the difference over that of the reference; 0 if both
        are 0, infinite if only the reference's is.
      changed: share of the elements with other bits.
      flipped: share of the elements with the other sign, neither of them 0 or NaN.
      not_finite: number of elements that are Inf or NaN; the reference's do not count.
    """

    name: str
    elements: int
    norm: float
    largest: float
    relative: float
    changed: float
    flipped: float
    not_finite: int


def compare(name: str, reference: np.ndarray, other: np.ndarray) -> Difference:
    """Compare a tensor with its reference.

    Args:
      name: name of the variable.
      reference: float32 or float64, any shape.
      other: same type and shape.

    Raises:
      ValueError: type or shape differ.

    Example:
      >>> import numpy as np
      >>> compare("w", np.array([3.0, 4.0]), np.array([3.0, -1.0])).relative
      1.0
    """
    if (reference.dtype, reference.shape) != (other.dtype, other.shape):
        raise ValueError(
            f"{name}: {reference.dtype} {reference.shape} cannot be compared with "
            f"{other.dtype} {other.shape}"
        )
    a, b = np.ravel(reference), np.ravel(other)
    bits = np.dtype(f"u{a.dtype.itemsize}")
    both = np.isfinite(a) & np.isfinite(b)
    finite_a, finite_b = a[both].astype(np.float64), b[both].astype(np.float64)
    with np.errstate(over="ignore"):  # Of float64; an infinite distance is the answer.
        distance = np.abs(finite_b - finite_a)
    norm, apart = _norm(finite_a), _norm(distance)
    return Difference(
        name,
        a.size,
        norm,
        float(distance.max(initial=0.0)),
        _ratio(apart, norm),
        _share(a.view(bits) != b.view(bits)),
        # A comparison with NaN is False.
        _share(((a > 0) & (b < 0)) | ((a < 0) & (b > 0))),
        int(b.size - np.isfinite(b).sum()),
    )


def compare_all(
    reference: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]
) -> tuple[Difference, ...]:
    """Compare tensors by name; the last entry, `(all)`, is of all elements as one.

    Raises:
      ValueError: the names differ.
    """
    if reference.keys() != other.keys():
        raise ValueError(f"names differ: {sorted(reference.keys() ^ other.keys())[:3]}")
    rows = [compare(name, reference[name], other[name]) for name in reference]
    joined = [
        np.concatenate([np.ravel(tensors[name]) for name in reference])
        for tensors in (reference, other)
    ]
    return *rows, compare(ALL, *joined)


def _norm(x: np.ndarray) -> float:
    """Euclidean norm; scaled, for squares leave the range before numbers do."""
    largest = float(np.abs(x).max(initial=0.0))
    if largest == 0 or not np.isfinite(largest):
        return largest
    return largest * float(np.sqrt(np.sum(np.square(x / largest))))


def _ratio(apart: float, norm: float) -> float:
    if norm == 0:
        return 0.0 if apart == 0 else float("inf")
    return apart / norm


def _share(which: np.ndarray) -> float:
    return float(which.mean()) if which.size else 0.0
