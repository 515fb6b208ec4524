# SPDX-License-Identifier: Apache-2.0
"""Section: how often each outcome came, with intervals."""

import numpy as np

from tpufi.campaign.effect import in_order, is_judged
from tpufi.campaign.report.cells import count_text, share_text
from tpufi.campaign.report.document import Column, Paragraph, Picture, Section, Table
from tpufi.campaign.report.facts import Facts
from tpufi.campaign.report.family import Family
from tpufi.campaign.report.pictures import bars
from tpufi.campaign.report.printable import printable
from tpufi.campaign.report.rates import Rate


def sections(facts: Facts) -> tuple[Section, ...]:
    """Return the section."""
    counter, codes = facts.counter, facts.columns.codes["outcome"]
    outcomes = facts.columns.values["outcome"]
    everything = Family("all", "all", ("all",), np.zeros(len(codes), np.int8))
    rates: dict[str, Rate] = {}
    for name in in_order(filter(is_judged, outcomes)):
        hit = codes == outcomes.index(name)
        (rates[name],) = counter.rates(everything, hit)
    (visible,) = counter.rates(everything, counter.visible)
    rows = [("any visible effect", visible), *rates.items()]
    table = Table(
        "outcomes",
        "Outcomes. Interval: of independent experiments. By steps: experiments that "
        "strike the same step share weights and batch, and count as a cluster.",
        (
            Column("outcome"),
            Column("experiments", "count"),
            Column("share", "share"),
            Column("interval", "interval"),
            Column("interval by steps", "interval"),
            Column("design effect", "number"),
        ),
        tuple(
            (
                printable(name),
                rate.hits,
                rate.share,
                tuple(rate.interval),
                tuple(rate.clustered.interval),
                _known(rate.clustered.design_effect),
            )
            for name, rate in rows
        ),
    )
    picture = Picture(
        "outcome_bars",
        "Share of each outcome. Dark whisker: interval; grey whisker: interval by "
        "steps. Orange bars are visible effects.",
        "Bars of the share of each outcome: "
        + "; ".join(
            f"{printable(name)} {share_text(rate.share)}"
            for name, rate in rates.items()
        ),
        lambda: bars.draw(list(rates), list(rates.values())),
    )
    low, high = visible.interval
    weighted = ", weighted by the shares of their strata" if facts.allocation else ""
    text = (
        f"{count_text(visible.hits)} of {count_text(visible.trials)} "
        f"experiments, {share_text(visible.share)}{weighted}, had a visible effect "
        f"({share_text(low)} to {share_text(high)}): any outcome that is not masked."
    )
    return (Section("outcomes", "Outcomes", (Paragraph(text), picture, table)),)


def _known(number: float) -> float | None:
    return None if np.isnan(number) else number
