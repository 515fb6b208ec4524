# SPDX-License-Identifier: Apache-2.0
"""Loss curves of experiments of one outcome beside the golden run."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tpufi.campaign.report.drawing import new_figure
from tpufi.campaign.report.palette import FIRST, MUTED, SECOND, THIRD
from tpufi.campaign.report.printable import printable

_COLUMNS = 2
_STYLES = {
    "best": (THIRD, "--", 1.2),
    "median": (FIRST, "-", 2.0),
    "worst": (SECOND, ":", 1.6),
}
_WIDE_RANGE = 30


class Curve(NamedTuple):
    """Losses of one experiment; steps count from the fault.

    Args:
      name: `best`, `median` or `worst` of its outcome.
      losses: by step.
      golden: golden losses of the same steps, as far as known.
      low: least of the golden band, by step; empty: there is no band.
      high: largest of the golden band, by step.
    """

    name: str
    losses: Sequence[float]
    golden: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


def draw(panels: Sequence[tuple[str, Sequence[Curve]]]) -> Figure:
    """Return the figure: a panel for each outcome; a cross: not finite.

    Args:
      panels: outcome and its curves, at least one panel.
    """
    lines = -(-len(panels) // _COLUMNS)
    figure = new_figure(8.6, 2.3 * lines + 0.3)
    for place, (outcome, curves) in enumerate(panels):
        axes = figure.add_subplot(lines, _COLUMNS, place + 1)
        for curve in curves:
            _draw(axes, curve)
        axes.set_title(printable(outcome, 44))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _scale(axes, curves)
        axes.set_xlabel("steps from the fault", fontsize=8)
        if place % _COLUMNS == 0:
            axes.set_ylabel("training loss", fontsize=8)
    lines = {text: line for axes in figure.axes for line, text in _named(axes)}
    figure.legend(lines.values(), lines, loc="outside upper center", ncols=len(lines))
    return figure


def _named(axes: Axes) -> Iterator[tuple[object, str]]:
    return zip(*axes.get_legend_handles_labels(), strict=True)


def _draw(axes: Axes, curve: Curve) -> None:
    colour, style, width = _STYLES[curve.name]
    is_main = curve.name == "median"
    if is_main and len(curve.low):
        steps = range(len(curve.low))
        axes.fill_between(
            steps, curve.low, curve.high, color=MUTED.light, alpha=0.25, linewidth=0
        )
    if len(curve.golden):
        axes.plot(
            range(len(curve.golden)), curve.golden, color=MUTED.light,
            linewidth=3.5 if is_main else 1.5, alpha=0.5,
            label="golden" if is_main else None,
        )  # fmt: skip
    finite = [loss if math.isfinite(loss) else math.nan for loss in curve.losses]
    axes.plot(
        range(len(finite)), finite, color=colour.light, linestyle=style,
        linewidth=width, marker=".", markersize=4, label=curve.name,
    )  # fmt: skip
    lost = [i for i, loss in enumerate(curve.losses) if not math.isfinite(loss)]
    if lost:
        before = [loss for loss in finite if not math.isnan(loss)]
        at = before[-1] if before else (curve.golden or [1.0])[0]
        axes.plot([lost[0]], [at], "x", color=colour.light, markersize=9, mew=2)


def _scale(axes: Axes, curves: Sequence[Curve]) -> None:
    """Show all steps; a range of many magnitudes by logarithms."""
    longest = max(len(c.losses) for c in curves)
    last = max(1, longest - 1)
    axes.set_xlim(-0.04 * last, 1.04 * last)
    values = [x for c in curves for x in (*c.losses, *c.golden) if math.isfinite(x)]
    if not values:
        axes.set_yticks([])
        return
    if min(values) > 0 and max(values) > _WIDE_RANGE * min(values):
        axes.set_yscale("log")
    elif min(values) >= 0:
        axes.set_ylim(0, 1.08 * max(values))
