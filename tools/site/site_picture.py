# SPDX-License-Identifier: Apache-2.0
"""Places of faults in a training step: three products of one convolution."""

from tools.site.svg import arrow, label, picture, rectangle

from tpufi.campaign.report.figures import FIRST, INK, MUTED, SECOND, THIRD

_BOX, _ROW = (128, 34), 92
# Direction, operands and result, and what becomes of the result.
_PRODUCTS = (
    ("forward", "layer input", "kernel", "output", "to the next layer", FIRST),
    ("grad_in", "incoming gradient", "kernel, turned", "gradient of the input",
     "to the layer before", SECOND),
    ("grad_wt", "layer input", "incoming gradient", "gradient of the kernel",
     "summed over replicas, to the optimiser", THIRD),
)  # fmt: skip
_OPERANDS = ("input", "weight", "output")


def site_picture() -> str:
    """Return the picture: a line for each direction, a box for each site."""
    shapes = [
        label(16, 24, "The nine sites of a convolution or dense layer: each box can be "
              "faulty on its own.")
    ]  # fmt: skip
    for line, (direction, first, second, result, use, colour) in enumerate(_PRODUCTS):
        y = 62 + line * _ROW
        shapes += [
            label(16, y + 21, direction, 14, colour.light),
            *_site(100, y, "input", first, colour.light),
            label(258, y + 23, "*", 18, INK.light, "middle"),
            *_site(280, y, "weight", second, colour.light),
            arrow(414, y + 17, 452, y + 17, INK.light),
            *_site(458, y, "output", result, colour.light),
            arrow(592, y + 17, 630, y + 17, INK.light),
            label(640, y + 21, use, 11, MUTED.light),
        ]
    y = 62 + len(_PRODUCTS) * _ROW
    shapes += [
        label(16, y + 21, "update", 14, INK.light),
        *_site(100, y, "gradient", "summed gradient", INK.light),
        *_site(280, y, "first_moment, second_moment", "slots of Adam", INK.light),
        *_site(458, y, "output", "change of the weight", INK.light),
    ]
    return picture(880, y + 72, "Sites of a training step", shapes)


def _site(x: float, y: float, operand: str, content: str, colour: str) -> list[str]:
    width, height = _BOX
    return [
        rectangle(x, y, width, height, "none", colour),
        label(x + width / 2, y + 22, content, 11, INK.light, "middle"),
        label(x + width / 2, y + height + 15, operand, 10, MUTED.light, "middle"),
    ]
