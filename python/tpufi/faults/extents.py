# SPDX-License-Identifier: Apache-2.0
"""Where a fault strikes inside a tensor: groups, slices, pairs, the whole tensor."""

import abc
import dataclasses
import math

from tpufi.faults.operation import Operation
from tpufi.faults.positions import Positions
from tpufi.sampling.draws import Draws
from tpufi.site_table import Site


class Extent(abc.ABC):
    """A rule that draws the struck elements of a tensor; every element can be drawn."""

    most: int | None = None  # Most elements of one fault; None: as many as there are.

    def misfit(self, site: Site, operation: Operation | None) -> str | None:
        """Return why this extent does not exist in `site`, or None if it does.

        Args:
          site: the tensor.
          operation: the convolution the tensor belongs to, or None.
        """
        del site, operation
        return None

    @abc.abstractmethod
    def draw(self, draws: Draws, site: Site, operation: Operation | None) -> Positions:
        """Draw the struck elements."""


@dataclasses.dataclass(frozen=True)
class Groups(Extent):
    """Consecutive groups of `size` elements; a group starts at a multiple of `size`.

    The group is drawn uniformly, the last one included, and cut at the tensor's end, so
    that a tensor smaller than a group is one group. With `largest` > 1 the number of
    groups is uniform over 1 to `largest`; groups beyond the end do not exist.
    """

    size: int = 1
    largest: int = 1

    @property
    def most(self) -> int:
        """Most elements of one fault."""
        return self.size * self.largest

    def draw(self, draws: Draws, site: Site, operation: Operation | None) -> Positions:
        start = self.size * draws.below(math.ceil(site.size / self.size), "group")
        groups = 1
        if self.largest > 1:
            groups += draws.below(self.largest, "groups")
        return Positions.run(start, min(groups * self.size, site.size - start))


@dataclasses.dataclass(frozen=True)
class Whole(Extent):
    """All elements."""

    def draw(self, draws: Draws, site: Site, operation: Operation | None) -> Positions:
        return Positions.run(0, site.size)


@dataclasses.dataclass(frozen=True)
class Pair(Extent):
    """Two different elements; all pairs are equally likely."""

    most = 2

    def misfit(self, site: Site, operation: Operation | None) -> str | None:
        return "it has one element, a pair needs two" if site.size < 2 else None

    def draw(self, draws: Draws, site: Site, operation: Operation | None) -> Positions:
        first, second = sorted(draws.distinct(site.size, 2, "pair"))
        return Positions(first, 2, 1, second - first)


@dataclasses.dataclass(frozen=True)
class Channel(Extent):
    """One index of the last axis, at every index of the others."""

    def draw(self, draws: Draws, site: Site, operation: Operation | None) -> Positions:
        channels = site.shape[-1] if site.shape else 1
        start = draws.below(channels, "channel")
        return Positions(start, site.size // channels, 1, channels)


class _ImageSlice(Extent):
    def misfit(self, site: Site, operation: Operation | None) -> str | None:
        images = site.direction in ("forward", "grad_in") and "weight" not in (
            site.operand.split("_")
        )
        if images and len(site.shape) == 4:
            return None
        return f"shape {site.shape} of {site.direction}/{site.operand} is no NHWC image"


@dataclasses.dataclass(frozen=True)
class Row(_ImageSlice):
    """One row of one NHWC image, all its channels."""

    def draw(self, draws: Draws, site: Site, operation: Operation | None) -> Positions:
        images, height, width, channels = site.shape
        row = draws.below(images * height, "row")
        return Positions.run(row * width * channels, width * channels)


@dataclasses.dataclass(frozen=True)
class Column(_ImageSlice):
    """One column of one NHWC image, all its channels."""

    def draw(self, draws: Draws, site: Site, operation: Operation | None) -> Positions:
        images, height, width, channels = site.shape
        image, column = divmod(draws.below(images * width, "column"), width)
        start = (image * height * width + column) * channels
        return Positions(start, height * channels, channels, width * channels)
