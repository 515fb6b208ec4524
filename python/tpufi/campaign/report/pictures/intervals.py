# SPDX-License-Identifier: Apache-2.0
"""Rates of named strata: a point, its interval, and the one by steps behind it."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from tpufi.campaign.report.drawing import new_figure
from tpufi.campaign.report.palette import FIRST, MUTED
from tpufi.campaign.report.printable import printable
from tpufi.campaign.report.rates import Rate

_LONGEST = 44


def draw(labels: Sequence[str], rates: Sequence[Rate | None], axis: str) -> Figure:
    """Return the figure, strata from top to bottom.

    Args:
      labels: of the strata.
      rates: of each; None: it has no experiment and no point.
      axis: what the rate is of.
    """
    figure = new_figure(8.6, 0.9 + 0.2 * max(3, len(labels)))
    axes = figure.add_subplot()
    for place, rate in enumerate(rates):
        if rate is None:
            continue
        low, high = rate.clustered.interval
        axes.plot([low, high], [place] * 2, color=MUTED.light, linewidth=1)
        low, high = rate.interval
        axes.plot([low, high], [place] * 2, color=FIRST.light, linewidth=3.5, alpha=0.6)
        axes.plot([rate.share], [place], "o", color=FIRST.light, markersize=4.5)
    axes.set_yticks(range(len(labels)), [printable(t, _LONGEST) for t in labels])
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel(axis)
    axes.grid(axis="y", visible=False)
    return figure
