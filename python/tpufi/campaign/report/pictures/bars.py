# SPDX-License-Identifier: Apache-2.0
"""Shares of outcomes as bars with their intervals."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from tpufi.campaign.effect import is_visible
from tpufi.campaign.report.cells import share_text
from tpufi.campaign.report.drawing import new_figure
from tpufi.campaign.report.palette import FIRST, INK, MUTED, SECOND
from tpufi.campaign.report.printable import printable
from tpufi.campaign.report.rates import Rate


def draw(outcomes: Sequence[str], rates: Sequence[Rate]) -> Figure:
    """Return the figure, outcomes from top to bottom.

    Args:
      outcomes: names.
      rates: of each.
    """
    figure = new_figure(8.6, 0.9 + 0.34 * max(2, len(outcomes)))
    axes = figure.add_subplot()
    shares = [rate.share for rate in rates]
    colours = [(SECOND if is_visible(o) else FIRST).light for o in outcomes]
    axes.barh(range(len(outcomes)), shares, color=colours, height=0.6, alpha=0.75)
    reach = 0.0
    for place, rate in enumerate(rates):
        for offset, interval, colour in (
            (-0.1, rate.interval, INK),
            (0.14, rate.clustered.interval, MUTED),
        ):
            at = place + offset
            axes.plot(interval, [at, at], color=colour.light, lw=1.2, marker="|", ms=6)
            reach = max(reach, interval.high)
    for place, rate in enumerate(rates):
        end = max(rate.interval.high, rate.clustered.interval.high)
        axes.text(
            end + 0.012 * reach, place, share_text(rate.share), va="center", fontsize=8
        )
    axes.set_yticks(range(len(outcomes)), [printable(o, 44) for o in outcomes])
    axes.set_ylim(len(outcomes) - 0.4, -0.6)
    axes.set_xlim(0, 1.14 * reach)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel("share of the experiments")
    axes.grid(axis="y", visible=False)
    return figure
