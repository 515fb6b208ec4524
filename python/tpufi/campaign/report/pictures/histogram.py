# SPDX-License-Identifier: Apache-2.0
"""How many experiments had which latency."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from tpufi.campaign.report.drawing import new_figure
from tpufi.campaign.report.palette import FIRST, SECOND

_MOST_BARS = 60


def draw(counts: Mapping[int, int], total: int) -> Figure:
    """Return the figure: bars of experiments, and a line of the share detected so far.

    Args:
      counts: steps -> experiments, at least one entry.
      total: all experiments, those never detected too.
    """
    longest = max(counts)
    width = -(-(longest + 1) // _MOST_BARS)
    bars = [0] * (longest // width + 1)
    for steps, count in counts.items():
        bars[steps // width] += count
    figure = new_figure(8.6, 2.9)
    axes = figure.add_subplot()
    places = np.arange(len(bars)) * width + (width - 1) / 2
    axes.bar(places, bars, width=0.85 * width, color=FIRST.light, alpha=0.75)
    axes.set_xlim(-0.6, longest + 0.6)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    of_width = f", {width} to a bar" if width > 1 else ""
    axes.set_xlabel(f"steps from the fault to its first visible effect{of_width}")
    axes.set_ylabel("experiments")
    so_far = axes.twinx()
    steps = sorted(counts)
    running = np.cumsum([counts[s] for s in steps]) / total
    steps, running = [*steps, longest + 0.6], [*running, running[-1]]
    so_far.plot(steps, running, color=SECOND.light, drawstyle="steps-post")
    so_far.set_ylim(0, 1.15 * running[-1])
    so_far.yaxis.set_major_formatter(PercentFormatter(1))
    so_far.set_ylabel("detected so far (line)", color=SECOND.light)
    so_far.grid(visible=False)
    so_far.spines["right"].set_visible(True)
    return figure
