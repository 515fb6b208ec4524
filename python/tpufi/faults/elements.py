# SPDX-License-Identifier: Apache-2.0
"""Which elements of a tensor a fault hits: groups, slices, pairs, array columns."""

import abc
import dataclasses
import math

from tpufi.errors import InputError
from tpufi.fault import Elements, Strided
from tpufi.faults.affected_outputs import Operation
from tpufi.faults.draws import Draws
from tpufi.site_table import BACKWARD, Site


class Extent(abc.ABC):
    """A rule that draws the faulty elements of a tensor; every element can be drawn."""

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
    def draw(self, draws: Draws, site: Site, operation: Operation | None) -> Elements:
        """Draw the faulty elements."""


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

    def draw(self, draws: Draws, site: Site, operation: Operation | None) -> Elements:
        start = self.size * draws.below(math.ceil(site.size / self.size), "group")
        groups = 1
        if self.largest > 1:
            groups += draws.below(self.largest, "groups")
        return Elements.run(start, min(groups * self.size, site.size - start))


@dataclasses.dataclass(frozen=True)
class Runs(Extent):
    """Runs of consecutive elements that recur at one distance in the flat index.

    So a unit leaves its trace that computes every `period / size`-th piece of a tensor
    in row-major order. In a row-major matrix of C columns the runs recur along a row at
    `period`, and in the same columns every `period / gcd(period, C)` rows. The first
    run starts anywhere, uniformly; runs beyond the end do not exist, and the last one
    is cut there.

    Args:
      size: elements of a run, >= 1.
      period: distance of the starts of two runs, >= `size`.
      largest: most runs, >= 1.

    Raises:
      InputError: a number is out of its range.
    """

    size: int
    period: int
    largest: int

    def __post_init__(self) -> None:
        if min(self.size, self.largest) < 1 or self.period < self.size:
            raise InputError(
                f"{self.largest} runs of {self.size} elements every {self.period}; "
                "choose at least 1 run of 1 element, and a period of at least a run"
            )

    @property
    def most(self) -> int:
        """Most elements of one fault."""
        return self.size * self.largest

    def draw(self, draws: Draws, site: Site, operation: Operation | None) -> Elements:
        start = draws.below(site.size, "first run")
        whole, rest = divmod(site.size - start, self.period)
        count = whole * self.size + min(rest, self.size)
        return Strided(start, min(count, self.most), self.size, self.period)


@dataclasses.dataclass(frozen=True)
class Whole(Extent):
    """All elements."""

    def draw(self, draws: Draws, site: Site, operation: Operation | None) -> Elements:
        return Elements.run(0, site.size)


@dataclasses.dataclass(frozen=True)
class Pair(Extent):
    """Two different elements; all pairs are equally likely."""

    most = 2

    def misfit(self, site: Site, operation: Operation | None) -> str | None:
        return "it has one element, a pair needs two" if site.size < 2 else None

    def draw(self, draws: Draws, site: Site, operation: Operation | None) -> Elements:
        first, second = sorted(draws.distinct(site.size, 2, "pair"))
        return Strided(first, 2, 1, second - first)


@dataclasses.dataclass(frozen=True)
class Channel(Extent):
    """One index of the last axis, at every index of the others."""

    def draw(self, draws: Draws, site: Site, operation: Operation | None) -> Elements:
        channels = site.shape[-1] if site.shape else 1
        start = draws.below(channels, "channel")
        return Strided(start, site.size // channels, 1, channels)


class _ImageSlice(Extent):
    def misfit(self, site: Site, operation: Operation | None) -> str | None:
        images = site.direction in ("forward", "grad_in", BACKWARD) and not (
            "weight" in site.operand.split("_") or site.op.endswith("BackpropFilter")
        )
        if images and len(site.shape) == 4:
            return None
        return f"shape {site.shape} of {site.direction}/{site.operand} is no NHWC image"


@dataclasses.dataclass(frozen=True)
class Row(_ImageSlice):
    """One row of one NHWC image, all its channels."""

    def draw(self, draws: Draws, site: Site, operation: Operation | None) -> Elements:
        images, height, width, channels = site.shape
        row = draws.below(images * height, "row")
        return Elements.run(row * width * channels, width * channels)


@dataclasses.dataclass(frozen=True)
class Column(_ImageSlice):
    """One column of one NHWC image, all its channels."""

    def draw(self, draws: Draws, site: Site, operation: Operation | None) -> Elements:
        images, height, width, channels = site.shape
        image, column = divmod(draws.below(images * width, "column"), width)
        start = (image * height * width + column) * channels
        return Strided(start, height * channels, channels, width * channels)


DATAFLOWS = ("output", "weight", "input")


@dataclasses.dataclass(frozen=True)
class SystolicArray(Extent):
    """The results that one faulty processing element (PE) of an array touches.

    A convolution is a matrix product: the M rows of the result are the pixels of all
    images, its N columns the channels. PE (r, c), r < height, c < width, is drawn
    uniformly among those that ever work; the fault lasts while the array holds tile t,
    drawn uniformly among the tiles in which the PE works:

    - `output` stationary: PE (r, c) accumulates result (m, n) with m mod height = r
      and n = t * width + c; faulty are the pixels r, r + height, ... of channel n.
    - `weight` stationary: partial sums of channel n = t * width + c flow through column
      c for every pixel; faulty is the whole channel n.
    - `input` stationary: partial sums of pixel m = t * width + c flow through column c
      for every channel; faulty are all channels of pixel m.

    Args:
      dataflow: which operand stays in the array: `output`, `weight` or `input`.
      height: rows of PEs, >= 1.
      width: columns of PEs, >= 1.

    Raises:
      InputError: unknown dataflow or a size below 1.

    Source: own derivation from the tiling of a matrix product; dataflows as named by
      Chen et al., "Eyeriss", ISCA 2016, and Samajdar et al., "SCALE-Sim", 2018; that
      one PE shows as one column or row is what DLAFI (ISSRE 2025) measures in RTL.
    """

    dataflow: str
    height: int = 128
    width: int = 128

    def __post_init__(self) -> None:
        if self.dataflow not in DATAFLOWS:
            raise InputError(
                f"dataflow {self.dataflow!r} is unknown; known: {', '.join(DATAFLOWS)}"
            )
        if min(self.height, self.width) < 1:
            raise InputError(
                f"array of {self.height}x{self.width} has no elements; choose sizes "
                "of at least 1x1"
            )

    def misfit(self, site: Site, operation: Operation | None) -> str | None:
        if operation is not None and site.operand == "output":
            return None
        return "it is not the output of a convolution or dense layer"

    def draw(self, draws: Draws, site: Site, operation: Operation | None) -> Elements:
        channels = site.shape[-1]
        pixels = site.size // channels
        if self.dataflow == "input":
            pixel = self._along_columns(draws, pixels)
            return Elements.run(pixel * channels, channels)
        channel = self._along_columns(draws, channels)
        if self.dataflow == "weight":
            return Strided(channel, pixels, 1, channels)
        row = draws.below(min(self.height, pixels), "array row")
        count = math.ceil((pixels - row) / self.height)
        return Strided(row * channels + channel, count, 1, self.height * channels)

    def _along_columns(self, draws: Draws, size: int) -> int:
        column = draws.below(min(self.width, size), "array column")
        tiles = math.ceil((size - column) / self.width)
        return column + self.width * draws.below(tiles, "array tile")
