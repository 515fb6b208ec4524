# SPDX-License-Identifier: Apache-2.0
"""What value rules make of the bits of one float32: real faults, injected by the op."""

import numpy as np
import tensorflow as tf
from tools.site.svg import label, picture, rectangle

import tpufi
from tpufi import descriptor
from tpufi.campaign.report.figures import FIRST, INK, LINE, MUTED, SECOND, THIRD
from tpufi.element import element
from tpufi.fault import Elements
from tpufi.faults.catalogue import any_fault_model
from tpufi.faults.draws import Draws

_VALUES = (0.75, -2.5, 12.0, 0.001)
_NAMES = (
    *("RBFLIP", "SIGN_FLIP", "EXPONENT_FLIP", "MANTISSA_FLIP", "BURST:4"),
    *("STUCK_AT_1", "RD", "RD_CORRECT", "ZERO", "NAN", "RELATIVE_NOISE:0.1"),
)
_BITS, _CELL, _GAP, _LEFT, _TOP, _LINE = 32, 14, 8, 190, 74, 26
_FIELDS = ((0, "sign", "end"), (1, "exponent", "start"), (9, "mantissa", "start"))


def value_picture() -> str:
    """Return the picture: a row of bits for the golden value and for each rule."""
    golden = np.float32(_VALUES[0])
    shapes = [
        label(16, 24, "The 32 bits of one element before and after; orange: changed."),
        *(
            label(_x(b) + 12 * (at == "end"), _TOP - 22, name, 11, MUTED.light, at)
            for b, name, at in _FIELDS
        ),
        *_row(0, "golden", golden, golden),
    ]
    for number, name in enumerate(_NAMES):
        shapes += _row(number + 1, name, golden, injected(name, number))
    height = _TOP + (len(_NAMES) + 1) * _LINE
    title = "Bits of a float32 before and after faults"
    return picture(_x(_BITS) + 130, height, title, shapes)


def injected(name: str, number: int) -> np.float32:
    """Return what the fault `number` of a model makes of the first of `_VALUES`."""
    model, first = any_fault_model(name), Elements.run(0, 1)
    value = model.rule.draw(Draws(5, number), element("float32"), first, len(_VALUES))
    row = descriptor.fault_row(
        site=0, replica=0, start=0, count=1, operation=value.operation, keep=value.keep,
        words=value.words,
    )  # fmt: skip
    x, _ = tpufi.inject_fault(tf.constant(_VALUES), 0, 0, row.faults, row.words)
    return x.numpy()[0]


def _x(bit: int) -> float:
    return _LEFT + bit * _CELL + _GAP * ((bit >= 1) + (bit >= 9))


def _row(line: int, name: str, golden: np.float32, faulty: np.float32) -> list[str]:
    y = _TOP + line * _LINE
    words = [f"{int(v.view(np.uint32)):032b}" for v in (golden, faulty)]
    shapes = [label(16, y, name, 12)]
    for bit, (before, after) in enumerate(zip(*words, strict=True)):
        colour = INK if bit == 0 else FIRST if bit < 9 else THIRD
        fill = SECOND.light if before != after else "none"
        shapes.append(rectangle(_x(bit), y - 14, _CELL - 2, 18, fill, LINE.light))
        ink = "#ffffff" if before != after else colour.light
        shapes.append(label(_x(bit) + 6, y, after, 11, ink, "middle"))
    return [*shapes, label(_x(_BITS) + 12, y, f"{faulty:.6g}", 12)]
