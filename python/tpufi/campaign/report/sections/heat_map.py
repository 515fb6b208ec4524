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
    counts = flat.reshape(len(rows), len(columns), -1)
    kept = np.flatnonzero(counts[..., 1].any(axis=1))
    counts, labels = counts[kept], [rows.labels[i] for i in kept]
    cells, shares = [], np.zeros(counts.shape[:2])
    for y, x in np.argwhere(counts[..., 1]).tolist():
        evidence = counter.evidence(counts[y, x])
        shares[y, x] = share = evidence[0] / evidence[1]
        hits, trials = map(int, counts[y, x, :2])
        interval = tuple(counter.interval(*evidence))
        cells.append((labels[y], columns.labels[x], trials, hits, share, interval))
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
        tuple(cells),
    )
    y, x, trials, _, share, _ = max(cells, key=lambda cell: cell[4])
    picture = Picture(
        "layer_model_map",
        "Per cent of experiments with a visible effect; in brackets where fewer than "
        f"{FEW} experiments stand behind it; empty where there is none.{note}",
        f"Map of {len(labels)} rows by {len(columns)} fault models, {len(cells)} cells "
        f"with experiments; the highest rate is {share_text(share)} of "
        f"{trials} for {y} with {x}",
        lambda: heat_map.draw(labels, columns.labels, shares, counts[..., 1], FEW),
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
