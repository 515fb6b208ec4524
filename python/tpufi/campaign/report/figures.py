# SPDX-License-Identifier: Apache-2.0
"""Figures in the style and colours of the report, and the files they become."""

import contextlib
import dataclasses
import io
import pathlib
import re
import warnings
from collections.abc import Iterator

import matplotlib
from matplotlib.figure import Figure

from tpufi.campaign.report.document import Picture


@dataclasses.dataclass(frozen=True)
class Colour:
    """A colour of pictures, and of a page that can be light or dark.

    Args:
      variable: name of the variable of CSS.
      light: on white; what pictures are drawn with.
      dark: on a dark page.
    """

    variable: str
    light: str
    dark: str


# The three hues are of Okabe and Ito's set, which readers with any colour vision tell
# apart; lines also differ in style.
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


_STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED.light,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": INK.light,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK.light,
    "axes.titlesize": 9,
    "figure.dpi": 100,
    "figure.facecolor": PAPER.light,
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "grid.color": LINE.light,
    "grid.linewidth": 0.6,
    "hatch.color": LINE.light,
    "legend.edgecolor": LINE.light,
    "legend.facecolor": PAPER.light,
    "legend.fontsize": 8,
    "svg.fonttype": "none",  # Text stays text: it can be searched and read aloud.
    "svg.hashsalt": "tpufi",
    "text.color": INK.light,
    "text.parse_math": False,  # A name may have dollar signs.
    "xtick.color": MUTED.light,
    "xtick.labelcolor": INK.light,
    "ytick.color": MUTED.light,
    "ytick.labelcolor": INK.light,
}


@contextlib.contextmanager
def _styled() -> Iterator[None]:
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        # The page's own fonts may have what this one lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches."""
    return Figure(figsize=(width, height), layout="constrained")


def drawn(picture: Picture, file: pathlib.Path) -> str:
    """Draw a picture, write it as PNG and SVG, and return it as SVG for a page.

    Args:
      picture: what to draw.
      file: to write, the .png; the .svg lies beside it.

    Returns:
      An `svg` element whose colours are variables of CSS and whose identifiers begin
      with the key of the picture.
    """
    text = io.StringIO()
    with _styled():
        figure = picture.draw()
        figure.savefig(file, format="png", dpi=110, metadata={"Software": None})
        # The page has its own paper.
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(text, format="svg", transparent=True, metadata=nothing)
        alone = file.with_suffix(".svg")
        figure.savefig(alone, format="svg", metadata=nothing)
    return _for_page(text.getvalue(), picture.key)


def _for_page(svg: str, key: str) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<[^>]*\s)id="', rf'\1id="{key}-', svg)
    svg = re.sub(r'xlink:href="#', f'xlink:href="#{key}-', svg)
    svg = re.sub(r"url\(#", f"url(#{key}-", svg)
    for colour in COLOURS:
        svg = svg.replace(colour.light, f"var({colour.variable})")
    # It is named by the figure around it, and has at most its own width.
    head, rest = svg.split(">", 1)
    width = re.search(r'\bwidth="([0-9.]+)pt"', head)[1]
    head = re.sub(r' (width|height)="[^"]*"', "", head)
    hidden = 'aria-hidden="true" focusable="false"'
    return f'{head} {hidden} style="max-width: {width}pt">{rest}'.strip()
