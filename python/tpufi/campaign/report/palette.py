# SPDX-License-Identifier: Apache-2.0
"""Colours of pictures and what they become on a page that can be light or dark.

The three hues are of Okabe and Ito's set, which readers with any colour vision tell
apart; lines also differ in style.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Colour:
    """A colour of the page.

    Args:
      variable: name of the variable of CSS.
      light: on white; what pictures are drawn with.
      dark: on a dark page.
    """

    variable: str
    light: str
    dark: str


INK = Colour("--ink", "#1b1f24", "#e6e9ed")
MUTED = Colour("--muted", "#5b6470", "#a3adb8")
LINE = Colour("--line", "#d3d8de", "#3b424b")
PAPER = Colour("--paper", "#fdfefe", "#14171b")
FIRST = Colour("--first", "#0072b2", "#56b4e9")
SECOND = Colour("--second", "#c44e00", "#f0a35e")
THIRD = Colour("--third", "#00795a", "#35c79b")
COLOURS = (INK, MUTED, LINE, PAPER, FIRST, SECOND, THIRD)


def declarations(dark: bool) -> str:
    """Return the variables of CSS."""
    pairs = ((c.variable, c.dark if dark else c.light) for c in COLOURS)
    return " ".join(f"{name}: {value};" for name, value in pairs)
