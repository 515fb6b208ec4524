# SPDX-License-Identifier: Apache-2.0
"""How many experiments differ from golden after some steps, by part of the state."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, PercentFormatter

from tpufi.campaign.report.drawing import new_figure
from tpufi.campaign.report.palette import FIRST, MUTED, SECOND, THIRD
from tpufi.campaign.statistics.intervals import Interval

_STYLES = ((FIRST, "o", "-"), (SECOND, "s", "--"), (THIRD, "^", ":"))


def draw(
    parts: Mapping[str, Sequence[tuple[int, float, Interval]]], axis: str
) -> Figure:
    """Return the figure.

    Args:
      parts: name of a part -> (steps, share, its interval), ascending.
      axis: what the steps are.
    """
    figure = new_figure(8.6, 2.9)
    axes = figure.add_subplot()
    steps = sorted({x for points in parts.values() for x, *_ in points})
    for number, (part, points) in enumerate(parts.items()):
        colour, marker, style = _STYLES[number % len(_STYLES)]
        # A little apart, so that intervals do not hide each other.
        places = [x * 1.04 ** (number - 1) for x, *_ in points]
        for place, (_, _, interval) in zip(places, points, strict=True):
            axes.plot([place, place], interval, color=MUTED.light, linewidth=1)
        shares = [share for _, share, _ in points]
        axes.plot(places, shares, color=colour.light, marker=marker, linestyle=style,
                  markersize=5, label=part)  # fmt: skip
    axes.set_xscale("log")
    axes.set_xticks(steps, [str(x) for x in steps])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel(axis)
    axes.set_ylabel("differ from golden")
    axes.legend(loc="best")
    return figure
