# SPDX-License-Identifier: Apache-2.0
"""Section: rate of a visible effect by layer and fault model."""

import numpy as np

from tpufi.campaign.report import families
from tpufi.campaign.report.cells import share_text
from tpufi.campaign.report.document import Column, Picture, Section, Table
from tpufi.campaign.report.facts import Facts
from tpufi.campaign.report.family import Family, joined
from tpufi.campaign.report.pictures import heat_map

FEW = 10
_MOST_ROWS = 120
_BANDS = 40


def sections(facts: Facts) -> tuple[Section, ...]:
    """Return the section."""
    rows, columns = facts.families["layer"], facts.families["model"]
    note = ""
    if len(rows) > _MOST_ROWS:
        note = f" Of {len(rows)} layers the {_MOST_ROWS} with most experiments."
        rows, bands = _busiest(facts, rows), facts.order
        if bands.position:
            rows = families.by_depth(facts.columns, bands, _BANDS)
            note = f" {len(facts.families['layer'])} layers in bands of their depth."
    counter = facts.counter
    size = len(rows) * len(columns)
    flat = counter.counts(joined(rows, columns), size, counter.visible)
    counts = flat.reshape(len(rows), len(columns), 2)
    kept = np.flatnonzero(counts[..., 1].any(axis=1))
    counts, labels = counts[kept], [rows.labels[i] for i in kept]
    cells = [
        (labels[y], columns.labels[x], int(hits), int(trials))
        for (y, x), (hits, trials) in zip(
            np.ndindex(counts.shape[:2]), counts.reshape(-1, 2), strict=True
        )
        if trials
    ]
    table = Table(
        "layer_model",
        f"Visible effects by {rows.title} and fault model.",
        (
            Column(rows.title),
            Column("fault model"),
            Column("experiments", "count"),
            Column("visible", "count"),
            Column("rate", "share"),
            Column("interval", "interval"),
        ),
        tuple(
            (y, x, trials, hits, hits / trials, tuple(counter.interval(hits, trials)))
            for y, x, hits, trials in cells
        ),
    )
    y, x, hits, trials = max(cells, key=lambda cell: cell[2] / cell[3])
    picture = Picture(
        "layer_model_map",
        "Per cent of experiments with a visible effect; in brackets where fewer than "
        f"{FEW} experiments stand behind it; empty where there is none.{note}",
        f"Map of {len(labels)} rows by {len(columns)} fault models, {len(cells)} cells "
        f"with experiments; the highest rate is {share_text(hits / trials)} of "
        f"{trials} for {y} with {x}",
        lambda: heat_map.draw(labels, columns.labels, counts, FEW),
        table,
    )
    return (Section("layer_model", "Layer and fault model", (picture,)),)


def _busiest(facts: Facts, family: Family) -> Family:
    """Return the strata with most experiments, in their order."""
    trials = [rate.trials if rate else 0 for rate in facts.rates[family.key]]
    kept = sorted(sorted(range(len(trials)), key=lambda i: -trials[i])[:_MOST_ROWS])
    place = np.full(len(family), -1)
    place[kept] = np.arange(len(kept))
    labels = tuple(family.labels[i] for i in kept)
    return Family(family.key, family.title, labels, place[family.codes])
