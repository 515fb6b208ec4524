# SPDX-License-Identifier: Apache-2.0
"""Section: what the measures of an inference campaign found."""

import math
import statistics

from tpufi.campaign.inference.answers import measures_of, values_of
from tpufi.campaign.report.document import Column, Section, Table
from tpufi.campaign.report.facts import Facts
from tpufi.campaign.report.printable import printable


def sections(facts: Facts) -> tuple[Section, ...]:
    """Return the section; none without a measure."""
    rates, numbers = [], []
    for number, name, is_truth in measures_of(facts.journal):
        values = list(values_of(facts.journal, number))
        if not values:
            continue
        if is_truth:
            hits, total = sum(map(bool, values)), len(values)
            interval = tuple(facts.counter.interval(hits, total))
            rates.append((printable(name), total, hits, hits / total, interval))
        else:
            numbers.append((printable(name), *_spread(values)))
    blocks = []
    if rates:
        head = ("measure", "experiments", "held", "share", "interval")
        kinds = ("text", "count", "count", "share", "interval")
        caption = "Measures that hold or not; the name is the definition."
        blocks.append(_table("measures", caption, head, kinds, rates))
    if numbers:
        head = ("measure", "finite", "not finite", "least", "lower quartile", "median",
                "upper quartile", "greatest")  # fmt: skip
        kinds = ("text", "count", "count", *["number"] * 5)
        caption = "Measures that are numbers: quartiles of the finite ones."
        blocks.append(_table("measured_numbers", caption, head, kinds, numbers))
    if not blocks:
        return ()
    return (Section("answers", "Answers", tuple(blocks)),)


def _table(key, caption, head, kinds, rows) -> Table:
    columns = tuple(Column(n, k) for n, k in zip(head, kinds, strict=True))
    return Table(key, caption, columns, tuple(rows))


def _spread(values: list[float]) -> tuple:
    finite = [value for value in values if math.isfinite(value)]
    counts = len(finite), len(values) - len(finite)
    if len(finite) < 2:
        return (*counts, *[finite[0] if finite else None] * 5)
    quartiles = statistics.quantiles(finite, n=4, method="inclusive")
    return (*counts, min(finite), *quartiles, max(finite))
