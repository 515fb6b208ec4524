# SPDX-License-Identifier: Apache-2.0
"""A rate by two properties as a map of colours."""

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from tpufi.campaign.report.drawing import new_figure
from tpufi.campaign.report.palette import LINE
from tpufi.campaign.report.printable import printable

_LONGEST = 36


def draw(
    rows: Sequence[str],
    columns: Sequence[str],
    rates: np.ndarray,
    trials: np.ndarray,
    few: int,
) -> Figure:
    """Return the figure.

    Args:
      rows: labels from top to bottom.
      columns: labels from left to right.
      rates: 0 to 1, [rows, columns].
      trials: behind each rate, [rows, columns]; cells without any stay empty.
      few: cells with fewer trials have a bracket around their rate.
    """
    shares = np.ma.masked_where(trials == 0, rates)
    beside = 0.09 * min(_LONGEST, max(map(len, rows)))
    below = 0.07 * min(_LONGEST, max(map(len, columns)))
    figure = new_figure(
        max(5.5, 1 + beside + 0.42 * len(columns)),
        1.1 + below + 0.19 * max(4, len(rows)),
    )
    axes = figure.add_subplot()
    colours = matplotlib.colormaps["cividis"]
    top = max(0.01, float(shares.max()))
    mesh = axes.pcolormesh(
        shares, cmap=colours, vmin=0, vmax=top, edgecolors=LINE.light, linewidth=0.4
    )
    for (y, x), count in np.ndenumerate(trials):
        if count:
            share = float(shares[y, x])
            text = f"{100 * share:.0f}"
            axes.text(
                x + 0.5, y + 0.5, f"({text})" if count < few else text, fontsize=6,
                color="#000000" if share > 0.55 * top else "#ffffff",
                ha="center", va="center",
            )  # fmt: skip
    axes.set_xticks(
        np.arange(len(columns)) + 0.5,
        [printable(label, _LONGEST) for label in columns],
        rotation=60, ha="right", rotation_mode="anchor", fontsize=8,
    )  # fmt: skip
    labels = [printable(label, _LONGEST) for label in rows]
    axes.set_yticks(np.arange(len(rows)) + 0.5, labels, fontsize=7)
    axes.set_ylim(len(rows), 0)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    bar = figure.colorbar(
        mesh, ax=axes, location="top", aspect=40, shrink=0.6, pad=0.01,
        format=PercentFormatter(1), label="visible effect",
    )  # fmt: skip
    bar.outline.set_visible(False)
    return figure
