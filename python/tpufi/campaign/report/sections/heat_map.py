# SPDX-License-Identifier: Apache-2.0
"""Section: rate of a visible effect by layer and fault model."""

from collections.abc import Iterator

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from tpufi.campaign.report.cells import Share, printable, share_text
from tpufi.campaign.report.document import Picture, Section, Table
from tpufi.campaign.report.facts import Facts
from tpufi.campaign.report.figures import INK, LINE, new_figure
from tpufi.campaign.report.strata import depth_bands

_FEW, _VERY_FEW = 10, 5
_MOST_ROWS = 120
_BANDS = 40
_LONGEST = 36


def sections(facts: Facts) -> Iterator[Section]:
    """Yield the section."""
    estimator = facts.estimator
    rows, title, note = _rows(facts)
    cells = estimator.counts([rows, "model"])
    rates = []
    for counts in cells.to_numpy().tolist():
        hits, trials = estimator.evidence(counts)
        rates.append((hits / trials, estimator.interval(hits, trials)))
    cells["share"], cells["interval"] = zip(*rates, strict=True)
    table = Table.of(
        "layer_model",
        f"Visible effects by {title} and fault model.",
        [
            {
                title: cell.Index[0],
                "fault model": cell.Index[1],
                "experiments": cell.trials,
                "visible": cell.hits,
                "rate": Share(cell.share),
                "interval": cell.interval,
            }
            for cell in cells.itertuples()
        ],
    )
    (row, model), share = cells["share"].idxmax(), cells["share"].max()
    models = facts.experiments["model"].cat.categories
    shares = cells["share"].unstack().reindex(columns=models)
    trials = cells["trials"].unstack().reindex(columns=models).fillna(0)
    picture = Picture(
        "layer_model_map",
        "Per cent of experiments with a visible effect; in brackets where fewer than "
        f"{_FEW} experiments stand behind it, pale where fewer than {_VERY_FEW} do, "
        f"empty where there is none.{note}",
        f"Map of {len(shares)} rows by {len(models)} fault models, {len(cells)} cells "
        f"with experiments; the highest rate is {share_text(share)} of "
        f"{cells['trials'][row, model]} for {printable(row)} with "
        f"{printable(model)}",
        lambda: _map(shares, trials.to_numpy()),
        table,
    )
    yield Section("layer_model", "Layer and fault model", (picture,))


def _rows(facts: Facts) -> tuple[pd.Series, str, str]:
    """Return what makes the rows, its title, and a note on what is left out."""
    layers, rates = facts.judged["layer"], facts.strata["layer"].rates
    if len(rates) <= _MOST_ROWS:
        return layers, "layer", ""
    if "depth" in facts.strata:
        bands = depth_bands(layers, facts.order, _BANDS)
        note = f" {len(rates)} layers in bands of their depth."
        return pd.Series(bands, layers.index), "layer depth", note
    note = f" Of {len(rates)} layers the {_MOST_ROWS} with most experiments."
    busy = sorted(rates, key=lambda layer: rates[layer].trials, reverse=True)
    busy = set(busy[:_MOST_ROWS])
    kept = [layer for layer in rates if layer in busy]
    return layers.cat.set_categories(kept), "layer", note


def _map(rates: pd.DataFrame, trials: np.ndarray) -> Figure:
    """Return the figure.

    Args:
      rates: 0 to 1; their labels are those of the figure.
      trials: behind each rate; cells without any stay empty.
    """
    rows, columns = rates.index, rates.columns
    shares = np.ma.masked_where(trials == 0, rates.to_numpy())
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
        shares, cmap=colours, vmin=0, vmax=top, edgecolors=LINE.light, linewidth=0.4,
        alpha=np.where(trials < _VERY_FEW, 0.3, 1.0),
    )  # fmt: skip
    for (y, x), count in np.ndenumerate(trials):
        if count:
            share = float(shares[y, x])
            text = f"{100 * share:.0f}"
            colour = "#000000" if share > 0.55 * top else "#ffffff"
            if count < _VERY_FEW:
                colour = INK.light
            axes.text(
                x + 0.5, y + 0.5, f"({text})" if count < _FEW else text, fontsize=6,
                color=colour, ha="center", va="center",
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
