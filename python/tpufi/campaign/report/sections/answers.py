# SPDX-License-Identifier: Apache-2.0
"""Section: what the measures of an inference campaign found."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from tpufi.campaign.journal.answers import ALARM, measures_of, values_of
from tpufi.campaign.report.cells import Share
from tpufi.campaign.report.document import Section, Table
from tpufi.campaign.report.facts import Facts

_QUARTILES = ("least", "lower quartile", "median", "upper quartile", "greatest")


def sections(facts: Facts) -> Iterator[Section]:
    """Yield the section; none without a measure."""
    rates, numbers = [], []
    for number, name, is_truth in measures_of(facts.journal):
        if name.startswith(ALARM):
            continue  # A monitor's, which has a separate section.
        values = pd.Series(values_of(facts.journal, number), dtype=float)
        if values.empty:
            continue
        if is_truth:
            hits, total = int((values != 0).sum()), len(values)
            rates.append(
                {
                    "measure": name,
                    "experiments": total,
                    "held": hits,
                    "share": Share(hits / total),
                    "interval": facts.estimator.interval(hits, total),
                }
            )
        else:
            finite = values[np.isfinite(values)]
            quartiles = finite.quantile([0, 0.25, 0.5, 0.75, 1])
            numbers.append(
                {
                    "measure": name,
                    "finite": len(finite),
                    "not finite": len(values) - len(finite),
                    **dict(
                        zip(_QUARTILES, quartiles.replace({np.nan: None}), strict=True)
                    ),
                }
            )
    truths = "Measures that hold or not; the name is the definition."
    others = "Measures that are numbers: quartiles of the finite ones."
    tables = (
        Table.of("measures", truths, rates),
        Table.of("measured_numbers", others, numbers),
    )
    if blocks := tuple(table for table in tables if len(table)):
        yield Section("answers", "Answers", blocks)
