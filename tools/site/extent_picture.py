# SPDX-License-Identifier: Apache-2.0
"""Faulty elements of an image: real draws, one panel for each model."""

import math

import numpy as np
from tools.site.svg import label, picture, rectangle

from tpufi.campaign.report.figures import LINE, MUTED, PAPER, SECOND
from tpufi.fault import Elements
from tpufi.faults.affected_outputs import Operation, draw_affected_outputs
from tpufi.faults.draws import Draws
from tpufi.faults.elements import (
    Channel,
    Column,
    Extent,
    Groups,
    Pair,
    Row,
    SystolicArray,
)
from tpufi.site_table import Site

_HEIGHT, _WIDTH, _CHANNELS = 6, 6, 8
_SITE = Site("conv", "forward", "output", (1, _HEIGHT, _WIDTH, _CHANNELS))
_CONVOLUTION = Operation(
    _SITE.shape, (3, 3, _CHANNELS, _CHANNELS), _SITE.shape, 1, (1, 1)
)
_PIXEL, _LEFT, _TOP, _COLUMNS = 26, 18, 44, 4
_PANEL = (_WIDTH * _PIXEL + 30, _HEIGHT * _PIXEL + 46)
_MODELS: dict[str, Extent] = {
    "one element: RD, ZERO, RBFLIP": Groups(),
    "a group of 16: N16_RD": Groups(16),
    "up to 5 groups: RD_GLB (1000)": Groups(16, 5),
    "two elements: SWAP": Pair(),
    "a channel: CHANNEL_ZERO": Channel(),
    "a row: ROW_ZERO": Row(),
    "a column: COLUMN_ZERO": Column(),
    "one PE of 4x4: SYSTOLIC_OS": SystolicArray("output", 4, 4),
}


def extent_picture() -> str:
    """Return the picture: eight extents, and what two of them become as confined."""
    panels = {
        name: extent.draw(Draws(2, number), _SITE, _CONVOLUTION).indices()
        for number, (name, extent) in enumerate(_MODELS.items())
    }
    injected = Elements.run(_flat(2, 3, 5), 1)
    panels["results that read one input"] = _readers()
    panels["... confined to 4: INPUT_16 (16)"] = _confined("input", injected)
    panels["... of one weight: WT_16 (16)"] = _confined("weight", injected)
    shapes = [
        label(
            _LEFT,
            24,
            f"One image of {_HEIGHT} x {_WIDTH} pixels; the stripes of a pixel are its "
            f"{_CHANNELS} channels. Orange: faulty, or reached.",
        )
    ]
    for number, (name, elements) in enumerate(panels.items()):
        row, column = divmod(number, _COLUMNS)
        shapes += _panel(
            _LEFT + column * _PANEL[0], _TOP + row * _PANEL[1], name, elements
        )
    rows = math.ceil(len(panels) / _COLUMNS)
    return picture(
        _LEFT + _COLUMNS * _PANEL[0], _TOP + rows * _PANEL[1],
        "Elements of an image that fault models inject into", shapes,
    )  # fmt: skip


def _flat(row: int, column: int, channel: int) -> int:
    return (row * _WIDTH + column) * _CHANNELS + channel


def _readers() -> np.ndarray:
    rows, columns = _CONVOLUTION.readers(2, 3)
    return np.array(
        [_flat(r, c, k) for r in rows for c in columns for k in range(_CHANNELS)]
    )


def _confined(operand: str, injected: Elements) -> np.ndarray:
    kept = draw_affected_outputs(Draws(2, 1), _CONVOLUTION, operand, injected, 4)
    return kept.start + kept.stride * np.arange(kept.count)


def _panel(x: float, y: float, name: str, elements: np.ndarray) -> list[str]:
    shapes = [label(x, y + 14, name, 11, MUTED.light)]
    stripe = (_PIXEL - 4) / _CHANNELS
    hit = set(elements.tolist())
    for row in range(_HEIGHT):
        for column in range(_WIDTH):
            left, top = x + column * _PIXEL, y + 22 + row * _PIXEL
            size = _PIXEL - 3
            shapes.append(rectangle(left, top, size, size, PAPER.light, LINE.light))
            for channel in range(_CHANNELS):
                if _flat(row, column, channel) in hit:
                    at = left + 0.5 + channel * stripe
                    shapes.append(
                        rectangle(at, top + 0.5, stripe - 0.4, size - 1, SECOND.light)
                    )
    return shapes
