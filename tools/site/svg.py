# SPDX-License-Identifier: Apache-2.0
"""Shapes of SVG as text, in the colours of the reports."""

from xml.sax.saxutils import escape

from tpufi.campaign.report.figures import COLOURS, INK, LINE, PAPER

_FONT = "font-family='DejaVu Sans, Verdana, sans-serif'"

# A rule of CSS is above an attribute; the page says whether it is dark.
_RULES = " ".join(
    f"[{part}='{colour.light}'] {{ {part}: {colour.dark}; }}"
    for colour in COLOURS
    for part in ("fill", "stroke")
)
_DARK = f"<style>@media (prefers-color-scheme: dark) {{ {_RULES} }}</style>"


def rectangle(
    x: float, y: float, width: float, height: float, fill: str, line: str = "none"
) -> str:
    """Return a rectangle; lengths in pixels, `x` and `y` of its upper left corner."""
    return (
        f"<rect x='{x:g}' y='{y:g}' width='{width:g}' height='{height:g}' "
        f"fill='{fill}' stroke='{line}'/>"
    )


def label(
    x: float, y: float, text: str, size: int = 12, fill: str = INK.light, at="start"
) -> str:
    """Return a line of text whose baseline has (x, y) at its start, middle or end."""
    return (
        f"<text x='{x:g}' y='{y:g}' font-size='{size}' fill='{fill}' "
        f"text-anchor='{at}' {_FONT}>{escape(text)}</text>"
    )


def arrow(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    """Return a line with a head at its end."""
    return (
        f"<line x1='{x1:g}' y1='{y1:g}' x2='{x2:g}' y2='{y2:g}' stroke='{colour}' "
        f"stroke-width='1.6' marker-end='url(#head)'/>"
    )


def picture(width: int, height: int, title: str, shapes: list[str]) -> str:
    """Return the file: the shapes on paper, with a title for who cannot see them."""
    head = (
        "<marker id='head' viewBox='0 0 8 8' refX='7' refY='4' markerWidth='7' "
        "markerHeight='7' orient='auto'><path d='M0 0 8 4 0 8z' "
        f"fill='{INK.light}'/></marker>"
    )
    return "\n".join(
        [
            f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' "
            f"width='{width}' height='{height}' role='img'>",
            f"<title>{escape(title)}</title>",
            f"<defs>{head}</defs>",
            _DARK,
            rectangle(0.5, 0.5, width - 1, height - 1, PAPER.light, LINE.light),
            *shapes,
            "</svg>\n",
        ]
    )
