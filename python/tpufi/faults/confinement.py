# SPDX-License-Identifier: Apache-2.0
"""Confinement: faults between the buffer and the multipliers reach few results.

A faulty operand that sits in a buffer reaches every result that reads it. One that was
corrupted on the way from the buffer to the multipliers reaches only the results that
are computed from that copy: some channels of one pixel (input) or some pixels of one
channel (weight).

Source: INPUT16 and WEIGHT16 of FIdelity (He et al., MICRO 2020); docs/fault_models.md.
"""

import math
from typing import NamedTuple

import numpy as np

from tpufi.faults.operation import Operation
from tpufi.faults.positions import Positions
from tpufi.sampling.draws import Draws


class Confinement(NamedTuple):
    """Results that keep the error: `start + j * stride`, 0 <= j < count, flat."""

    start: int
    stride: int
    count: int


def draw_confinement(
    draws: Draws, operation: Operation, operand: str, positions: Positions, width: int
) -> Confinement | None:
    """Draw the results that keep the error of a fault in an operand.

    Args:
      draws: the experiment's draws.
      operation: the struck convolution.
      operand: `input` or `weight`.
      positions: struck elements of the operand.
      width: consecutive results, 16 for the `_16` models. The first of them is a
        multiple of `width`; the last ones are cut at the end of the channels or pixels.

    Returns:
      The results; None if no result reads any struck element (a pixel between the
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
    draws: Draws, operation: Operation, positions: Positions, width: int
) -> Confinement | None:
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
    return Confinement(start, 1, min(width, filters - first))


def _of_weight(
    draws: Draws, operation: Operation, positions: Positions, width: int
) -> Confinement:
    *pixels, filters = operation.output
    count = math.prod(pixels)
    first = width * draws.below(math.ceil(count / width), "confined pixels")
    start = first * filters + positions.start % filters
    return Confinement(start, filters, min(width, count - first))
