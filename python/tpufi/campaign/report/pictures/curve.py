# SPDX-License-Identifier: Apache-2.0
"""A rate along a number, such as the position of the bit, with its intervals."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from tpufi.campaign.report.drawing import new_figure
from tpufi.campaign.report.palette import FIRST, LINE, MUTED
from tpufi.campaign.report.rates import Rate


def draw(
    numbers: Sequence[int],
    rates: Sequence[Rate | None],
    axis: str,
    fields: Sequence[tuple[str, int, int]] = (),
) -> Figure:
    """Return the figure.

    Args:
      numbers: ascending.
      rates: at each; None: no experiment.
      axis: what the numbers are.
      fields: name, first and last number of ranges to mark.
    """
    figure = new_figure(8.6, 2.9)
    axes = figure.add_subplot()
    known = [(x, r) for x, r in zip(numbers, rates, strict=True) if r is not None]
    places = [x for x, _ in known]
    for x, rate in known:
        low, high = rate.clustered.interval
        axes.plot([x, x], [low, high], color=MUTED.light, linewidth=1)
        low, high = rate.interval
        axes.plot([x, x], [low, high], color=FIRST.light, linewidth=3, alpha=0.6)
    shares = [rate.share for _, rate in known]
    axes.plot(places, shares, color=FIRST.light, linewidth=1, marker="o", markersize=4)
    for name, first, last in fields:
        axes.axvline(last + 0.5, color=LINE.light, linewidth=1)
        axes.text(
            (first + last) / 2, 1.01, name, ha="center", va="bottom", fontsize=8,
            transform=axes.get_xaxis_transform(),
        )  # fmt: skip
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel(axis)
    axes.set_ylabel("visible effect")
    return figure
