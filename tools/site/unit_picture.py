# SPDX-License-Identifier: Apache-2.0
"""What one broken element of a systolic array reaches in the products of a layer."""

from tools.site.svg import label, picture, rectangle

from tpufi.campaign.report.figures import LINE, MUTED, PAPER, SECOND
from tpufi.units import ProcessingElement

_TOKENS, _INPUTS, _OUTPUTS, _ARRAY, _ROW, _COLUMN = 8, 6, 7, 4, 1, 2
_CELL, _LEFT, _TOP, _COLUMNS = 11, 16, 46, 2
# What the rows and columns of each result are.
_RESULTS = {
    "output": (_TOKENS, _OUTPUTS),
    "input gradient": (_TOKENS, _INPUTS),
    "weight gradient": (_INPUTS, _OUTPUTS),
}
_KINDS = (
    ("output", "weight"), ("output", "input"), ("output", "accumulator"),
    ("weight", "weight"), ("weight", "input"), ("weight", "accumulator"),
    ("input", "weight"), ("input", "input"), ("input", "accumulator"),
)  # fmt: skip
_PANEL = 345, 136


def unit_picture() -> str:
    """Return the picture: a row of three results for each dataflow and register."""
    text = (
        f"A dense layer of {_TOKENS} tokens, {_INPUTS} inputs, {_OUTPUTS} outputs, on "
        f"an array of {_ARRAY}x{_ARRAY}. Orange: what element ({_ROW}, {_COLUMN}) can "
        "change."
    )
    shapes = [label(_LEFT, 24, text)]
    for number, kind in enumerate(_KINDS):
        row, column = divmod(number, _COLUMNS)
        place = _LEFT + column * _PANEL[0], _TOP + row * _PANEL[1]
        shapes += _panel(
            *place, ProcessingElement(_ARRAY, _ARRAY, *kind, _ROW, _COLUMN)
        )
    rows = -(-len(_KINDS) // _COLUMNS)
    return picture(
        2 * _LEFT + _COLUMNS * _PANEL[0], _TOP + rows * _PANEL[1],
        "Results that a broken element of a systolic array can change", shapes,
    )  # fmt: skip


def _panel(x: float, y: float, unit: ProcessingElement) -> list[str]:
    name = f"{unit.dataflow} stationary, {unit.register} register"
    if (unit.dataflow, unit.register) == ("output", "accumulator"):
        name = "output stationary, accumulator or output"
    shapes = [label(x, y + 12, name)]
    for number, (result, (rows, columns)) in enumerate(_RESULTS.items()):
        left, top = x + number * 112, y + 32
        shapes.append(label(left, top - 5, result, 10, MUTED.light))
        hit = unit.reached(rows, columns)
        for i in range(rows):
            for j in range(columns):
                fill = SECOND.light if hit[i, j] else PAPER.light
                place = left + j * _CELL, top + i * _CELL
                shapes.append(rectangle(*place, _CELL - 1, _CELL - 1, fill, LINE.light))
    return shapes
