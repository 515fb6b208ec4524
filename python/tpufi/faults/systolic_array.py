# SPDX-License-Identifier: Apache-2.0
"""One faulty processing element of a systolic array, seen in the results."""

import dataclasses
import math

from tpufi.errors import InputError
from tpufi.faults.extents import Extent
from tpufi.faults.operation import Operation
from tpufi.faults.positions import Positions
from tpufi.sampling.draws import Draws
from tpufi.site_table import Site

DATAFLOWS = ("output", "weight", "input")


@dataclasses.dataclass(frozen=True)
class SystolicArray(Extent):
    """The results that one faulty processing element (PE) of an array touches.

    A convolution is a matrix product: the M rows of the result are the pixels of all
    images, its N columns the channels. PE (r, c), r < height, c < width, is drawn
    uniformly among those that ever work; the fault lasts while the array holds tile t,
    drawn uniformly among the tiles in which the PE works:

    - `output` stationary: PE (r, c) accumulates result (m, n) with m mod height = r
      and n = t * width + c; struck are the pixels r, r + height, ... of channel n.
    - `weight` stationary: partial sums of channel n = t * width + c flow through column
      c for every pixel; struck is the whole channel n.
    - `input` stationary: partial sums of pixel m = t * width + c flow through column c
      for every channel; struck are all channels of pixel m.

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

    def draw(self, draws: Draws, site: Site, operation: Operation | None) -> Positions:
        channels = site.shape[-1]
        pixels = site.size // channels
        if self.dataflow == "input":
            pixel = self._along_columns(draws, pixels)
            return Positions.run(pixel * channels, channels)
        channel = self._along_columns(draws, channels)
        if self.dataflow == "weight":
            return Positions(channel, pixels, 1, channels)
        row = draws.below(min(self.height, pixels), "array row")
        count = math.ceil((pixels - row) / self.height)
        return Positions(row * channels + channel, count, 1, self.height * channels)

    def _along_columns(self, draws: Draws, size: int) -> int:
        column = draws.below(min(self.width, size), "array column")
        tiles = math.ceil((size - column) / self.width)
        return column + self.width * draws.below(tiles, "array tile")
