# SPDX-License-Identifier: Apache-2.0
"""The table of a family: rate of a visible effect and counts of outcomes by stratum."""

from tpufi.campaign.effect import in_order, is_judged
from tpufi.campaign.report.document import Column, Table
from tpufi.campaign.report.facts import Facts
from tpufi.campaign.report.printable import printable


def stratum_table(facts: Facts, key: str) -> Table:
    """Return the table.

    Args:
      facts: of the campaign.
      key: of the family.
    """
    family, rates = facts.families[key], facts.rates[key]
    found = facts.columns.values["outcome"]
    outcomes = in_order(filter(is_judged, found))
    counts = facts.counter.outcomes(family)[:, [found.index(o) for o in outcomes]]
    rows = []
    for label, rate, by_outcome in zip(
        family.labels, rates, counts.tolist(), strict=True
    ):
        if rate is not None:
            rows.append(
                (
                    label,
                    rate.trials,
                    rate.hits,
                    rate.share,
                    tuple(rate.interval),
                    tuple(rate.clustered.interval),
                    *by_outcome,
                )
            )
    return Table(
        f"by_{key}",
        f"Visible effects by {family.title}, and experiments of each outcome.",
        (
            Column(family.title),
            Column("experiments", "count"),
            Column("visible", "count"),
            Column("rate", "share"),
            Column("interval", "interval"),
            Column("interval by steps", "interval"),
            *(Column(printable(outcome), "count") for outcome in outcomes),
        ),
        tuple(rows),
    )
