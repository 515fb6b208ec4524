# SPDX-License-Identifier: Apache-2.0
"""Which results read a faulty operand, and which of them keep its error."""

import dataclasses
import math

import numpy as np

from tpufi.fault import AffectedOutputs, Elements
from tpufi.faults.draws import Draws
from tpufi.site_table import Site

Shape4 = tuple[int, int, int, int]


@dataclasses.dataclass(frozen=True)
class Operation:
    """One convolution, forward or backward, in the layouts of its sites.

    A dense layer is a convolution of images of one pixel: every vector of a batch, or
    every token of a text, is such an image.

    Args:
      input: (images, height, width, channels).
      weight: (kernel height, kernel width, channels, filters).
      output: (images, height, width, filters).
      stride: distance of two windows, both axes.
      padding: zeros before the first row and before the first column that the site of
        the input does not contain.
    """

    input: Shape4
    weight: Shape4
    output: Shape4
    stride: int = 1
    padding: tuple[int, int] = (0, 0)

    def readers(self, row: int, column: int) -> tuple[range, range]:
        """Return the rows and columns of results whose window holds a pixel."""
        rows = self._readers(0, row)
        return rows, self._readers(1, column)

    def _readers(self, axis: int, place: int) -> range:
        place += self.padding[axis]
        first = -(-(place - self.weight[axis] + 1) // self.stride)
        last = place // self.stride
        return range(max(first, 0), min(last, self.output[axis + 1] - 1) + 1)


def operation(
    layer: object, direction: str, sites: dict[str, Site]
) -> Operation | None:
    """Return the convolution that `layer` computes in `direction`.

    Args:
      layer: the layer.
      direction: `forward`, `grad_in` or `grad_wt`.
      sites: the sites of this layer and direction by operand.

    Returns:
      The operation; None if the layer computes none there. A depthwise convolution is
      none: each of its results reads one channel.

    Source: layouts of docs/sites.md.
    """
    # Here: layers import TensorFlow, and files that name fault models need none.
    from tpufi.layers.conv2d import Conv2D
    from tpufi.layers.dense import Dense
    from tpufi.layers.standardised_conv2d import StandardisedConv2D

    if isinstance(layer, StandardisedConv2D):
        layer = layer.convolution
    if not isinstance(layer, Conv2D | Dense):
        return None
    shapes = [sites[operand].shape for operand in ("input", "weight", "output")]
    if isinstance(layer, Dense):
        x, weight, y = map(math.prod, shapes)
        filters = shapes[1][-1]
        channels = weight // filters
        return Operation(
            (x // channels, 1, 1, channels),
            (1, 1, channels, filters),
            (y // filters, 1, 1, filters),
        )
    if direction != "forward":  # The reference form: stride 1, padding in the operand.
        return Operation(*shapes)
    before = [
        max((pixels - 1) * layer.stride + layer.kernel - size, 0) // 2
        for size, pixels in zip(shapes[0][1:3], shapes[2][1:3], strict=True)
    ]
    return Operation(*shapes, layer.stride, tuple(before))


def draw_affected_outputs(
    draws: Draws, operation: Operation, operand: str, positions: Elements, width: int
) -> AffectedOutputs | None:
    """Draw the results that keep the error of a fault in an operand.

    Args:
      draws: the experiment's draws.
      operation: the faulty convolution.
      operand: `input` or `weight`.
      positions: faulty elements of the operand.
      width: consecutive results, 16 for the `_16` models. The first of them is a
        multiple of `width`; the last ones are cut at the end of the channels or pixels.

    Returns:
      The results; None if no result reads any faulty element (a pixel between the
      windows of a strided convolution): there is nothing to confine.

    Raises:
      ValueError: another operand.
    """
    if operand == "input":
        return _of_input(draws, operation, positions, width)
    if operand == "weight":
        return _of_weight(draws, operation, positions, width)
    raise ValueError(f"a fault in {operand!r} is a fault in a result: not confined")


def _of_input(
    draws: Draws, operation: Operation, positions: Elements, width: int
) -> AffectedOutputs | None:
    _, height, columns, filters = operation.output
    for index in positions.indices().tolist():
        image, row, column, _ = map(int, np.unravel_index(index, operation.input))
        rows, cols = operation.readers(row, column)
        if rows and cols:
            break
    else:
        return None
    pixel = draws.below(len(rows) * len(cols), "confined pixel")
    y, x = rows[pixel // len(cols)], cols[pixel % len(cols)]
    first = width * draws.below(math.ceil(filters / width), "confined channels")
    start = ((image * height + y) * columns + x) * filters + first
    return AffectedOutputs(start, 1, min(width, filters - first))


def _of_weight(
    draws: Draws, operation: Operation, positions: Elements, width: int
) -> AffectedOutputs:
    *pixels, filters = operation.output
    count = math.prod(pixels)
    first = width * draws.below(math.ceil(count / width), "confined pixels")
    start = first * filters + positions.start % filters
    return AffectedOutputs(start, filters, min(width, count - first))
