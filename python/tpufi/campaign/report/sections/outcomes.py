# SPDX-License-Identifier: Apache-2.0
"""Section: how often each outcome came, with intervals."""

import math
from collections.abc import Iterator, Mapping

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from tpufi.campaign.effect import in_order, is_visible
from tpufi.campaign.report.cells import Share, count_text, printable, share_text
from tpufi.campaign.report.document import Picture, Section, Table
from tpufi.campaign.report.facts import Facts
from tpufi.campaign.report.figures import FIRST, INK, MUTED, SECOND, new_figure
from tpufi.campaign.report.rates import Rate


def sections(facts: Facts) -> Iterator[Section]:
    """Yield the section."""
    estimator, judged = facts.estimator, facts.judged
    visible = estimator.rate(estimator.counts(["cluster"]))
    rates: dict[str, Rate] = {}
    for name in in_order(judged["outcome"].unique()):
        hit = judged["outcome"] == name
        rates[name] = estimator.rate(estimator.counts(["cluster"], hit))
    table = Table.of(
        "outcomes",
        "Outcomes. Interval: of independent experiments. By steps: experiments that "
        "inject into the same step share weights and batch, and count as a cluster.",
        [
            {
                "outcome": name,
                "experiments": rate.hits,
                "share": Share(rate.share),
                "interval": rate.interval,
                "interval by steps": rate.clustered.interval,
                "design effect": _known(rate.clustered.design_effect),
            }
            for name, rate in {"any visible effect": visible, **rates}.items()
        ],
    )
    shares = (f"{printable(n)} {share_text(rate.share)}" for n, rate in rates.items())
    picture = Picture(
        "outcome_bars",
        "Share of each outcome. Dark whisker: interval; grey whisker: interval by "
        "steps. Orange bars are visible effects.",
        f"Bars of the share of each outcome: {'; '.join(shares)}",
        lambda: _bars(rates),
    )
    low, high = visible.interval
    weighted = ", weighted by the shares of their strata" if facts.allocation else ""
    text = (
        f"{count_text(visible.hits)} of {count_text(visible.trials)} "
        f"experiments, {share_text(visible.share)}{weighted}, had a visible effect "
        f"({share_text(low)} to {share_text(high)}): any outcome that is not masked."
    )
    yield Section("outcomes", "Outcomes", (text, picture, table))


def _known(number: float) -> float | None:
    return None if math.isnan(number) else number


def _bars(rates: Mapping[str, Rate]) -> Figure:
    """Return the figure, outcomes from top to bottom."""
    figure = new_figure(8.6, 0.9 + 0.34 * max(2, len(rates)))
    axes = figure.add_subplot()
    colours = [(SECOND if is_visible(name) else FIRST).light for name in rates]
    shares = [rate.share for rate in rates.values()]
    axes.barh(range(len(rates)), shares, color=colours, height=0.6, alpha=0.75)
    pairs = [(rate.interval, rate.clustered.interval) for rate in rates.values()]
    reach = max(interval.high for pair in pairs for interval in pair)
    for place, (pair, share) in enumerate(zip(pairs, shares, strict=True)):
        for at, interval, colour in zip(
            (place - 0.1, place + 0.14), pair, (INK, MUTED), strict=True
        ):
            axes.plot(interval, [at, at], color=colour.light, lw=1.2, marker="|", ms=6)
        end = max(interval.high for interval in pair) + 0.012 * reach
        axes.text(end, place, share_text(share), va="center", fontsize=8)
    axes.set_yticks(range(len(rates)), [printable(name, 44) for name in rates])
    axes.set_ylim(len(rates) - 0.4, -0.6)
    axes.set_xlim(0, 1.14 * reach)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel("share of the experiments")
    axes.grid(axis="y", visible=False)
    return figure
