# SPDX-License-Identifier: Apache-2.0
"""Where the elements of a tensor in memory stand in the layout of a site."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Axis:
    """An axis of a site's layout, as the tensor in memory has it.

    The element at coordinate c of the tensor's axis has the coordinate `first` + c *
    `step` in the layout.

    Args:
      axis: axis of the tensor.
      first: coordinate of the first element, >= 0.
      step: distance of neighbours; -1 turns the axis round.
    """

    axis: int
    first: int = 0
    step: int = 1


@dataclasses.dataclass(frozen=True)
class Layout:
    """The elements of a tensor in the layout of a site, which may hold zeros besides.

    Args:
      site: shape of the site.
      stored: shape of the tensor.
      axes: one entry per axis of the site.
    """

    site: tuple[int, ...]
    stored: tuple[int, ...]
    axes: tuple[Axis, ...]

    @property
    def offset(self) -> int:
        """Flat index of the first element."""
        return sum(a.first * p for a, p in zip(self.axes, self._places, strict=True))

    @property
    def strides(self) -> tuple[int, ...]:
        """Distance of flat indices along each axis of the tensor."""
        steps = {
            a.axis: a.step * p for a, p in zip(self.axes, self._places, strict=True)
        }
        return tuple(steps[axis] for axis in range(len(self.stored)))

    def holds(self, positions: np.ndarray) -> np.ndarray:
        """Return which flat indices of the site are elements of the tensor.

        Args:
          positions: int64 [n], each in [0, size of the site).

        Returns:
          bool [n].
        """
        found = np.ones(len(positions), bool)
        coordinates = np.unravel_index(positions, self.site)
        for axis, coordinate in zip(self.axes, coordinates, strict=True):
            number, between = np.divmod(coordinate - axis.first, axis.step)
            inside = (number >= 0) & (number < self.stored[axis.axis])
            found &= inside & (between == 0)
        return found

    @property
    def _places(self) -> list[int]:
        return [math.prod(self.site[j + 1 :]) for j in range(len(self.site))]


def whole(shape: Sequence[int], perm: Sequence[int] = ()) -> Layout:
    """Return the layout of a tensor in the order of axes `perm`, or in its own."""
    perm = tuple(perm) or tuple(range(len(shape)))
    site = tuple(shape[axis] for axis in perm)
    return Layout(site, tuple(shape), tuple(Axis(axis) for axis in perm))
