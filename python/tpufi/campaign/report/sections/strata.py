# SPDX-License-Identifier: Apache-2.0
"""Sections: rates by fault model, layer, direction, operand, ..., bit and epoch."""

import itertools
from collections.abc import Iterator

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from tpufi.campaign.effect import in_order
from tpufi.campaign.report.cells import printable, share_text
from tpufi.campaign.report.document import Block, Picture, Section, Table
from tpufi.campaign.report.facts import Facts
from tpufi.campaign.report.figures import FIRST, LINE, MUTED, new_figure
from tpufi.campaign.report.rates import FEW, Strata
from tpufi.campaign.report.strata import bit_field

# What has numbers, and what they are; the others have names.
_AXES = {
    "bit": "position of the bit, 0 the least significant",
    "epoch": "epoch of the fault",
}
_OF_BITS = (
    "Of the experiments whose fault changes a single bit position. Other fault "
    "models change several bits or write whole values."
)
_MOST_IN_PICTURE = 80
_LONGEST = 44


def sections(facts: Facts) -> Iterator[Section]:
    """Yield a section for each property; of a single bit or epoch none."""
    for key, strata in facts.strata.items():
        if key not in _AXES or len(strata.rates) > 1:
            blocks = tuple(_blocks(facts, key, strata))
            yield Section(f"by_{key}", f"By {strata.title}", blocks)


def _blocks(facts: Facts, key: str, strata: Strata) -> Iterator[Block]:
    if key == "bit":
        yield _OF_BITS
    if len(strata.rates) <= _MOST_IN_PICTURE:
        yield _picture(facts, key, strata)
    if strata.small:
        yield (
            f"{strata.small} of {len(strata.rates)} strata have fewer than {FEW} "
            "experiments: of these read the interval, not the rate."
        )
    outcomes = in_order(facts.judged["outcome"].unique())
    counts = facts.estimator.outcomes(key).reindex(columns=outcomes, fill_value=0)
    rows = [{strata.title: str(n), **rate.cells()} for n, rate in strata.rates.items()]
    cells = [pd.DataFrame(rows, dtype=object), counts.reset_index(drop=True)]
    yield Table.of(
        f"by_{key}",
        f"Visible effects by {strata.title}, and experiments of each outcome.",
        pd.concat(cells, axis=1),
    )


def _picture(facts: Facts, key: str, strata: Strata) -> Picture:
    found = [(rate.share, label) for label, rate in strata.rates.items()]
    (low, least), (high, most) = min(found), max(found)
    return Picture(
        f"rates_by_{key}",
        f"Rate of a visible effect by {strata.title}. Thick: interval; thin and grey: "
        "interval by steps.",
        f"Points with intervals for {len(strata.rates)} strata by {strata.title}; the "
        f"lowest rate is {share_text(low)} for {printable(least)}, the highest "
        f"{share_text(high)} for {printable(most)}",
        lambda: _along(facts, key, strata) if key in _AXES else _below(strata),
    )


def _below(strata: Strata) -> Figure:
    """Return points with intervals, strata from top to bottom."""
    labels = [printable(label, _LONGEST) for label in strata.rates]
    figure = new_figure(8.6, 0.9 + 0.2 * max(3, len(labels)))
    axes = figure.add_subplot()
    places = range(len(labels))
    shares = _draw(strata, places, axes.hlines)
    axes.plot(shares, places, "o", color=FIRST.light, markersize=4.5)
    axes.set_yticks(places, labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel("visible effect")
    axes.grid(axis="y", visible=False)
    return figure


def _along(facts: Facts, key: str, strata: Strata) -> Figure:
    """Return points with intervals along a number, fields of bits marked."""
    figure = new_figure(8.6, 2.9)
    axes = figure.add_subplot()
    places = list(strata.rates)
    shares = _draw(strata, places, axes.vlines)
    axes.plot(places, shares, "o", color=FIRST.light, markersize=4)
    for name, first, last in _fields(facts, max(places)) if key == "bit" else ():
        axes.axvline(last + 0.5, color=LINE.light, linewidth=1)
        axes.text(
            (first + last) / 2, 1.01, name, ha="center", va="bottom", fontsize=8,
            transform=axes.get_xaxis_transform(),
        )  # fmt: skip
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel(_AXES[key])
    axes.set_ylabel("visible effect")
    return figure


def _draw(strata: Strata, places, lines) -> list[float]:
    """Draw the intervals by steps, thin, then the others; return the rates."""
    rates = strata.rates.values()
    low, high = zip(*(rate.clustered.interval for rate in rates), strict=True)
    lines(places, low, high, color=MUTED.light, linewidth=1)
    low, high = zip(*(rate.interval for rate in rates), strict=True)
    lines(places, low, high, color=FIRST.light, linewidth=3.5, alpha=0.6)
    return [rate.share for rate in rates]


def _fields(facts: Facts, last: int) -> Iterator[tuple[str, int, int]]:
    """Yield name, first and last bit of the fields, if all sites have one type."""
    kinds = set(facts.order.dtypes.values())
    if len(kinds) == 1:
        (kind,) = kinds
        for name, bits in itertools.groupby(
            range(last + 1), lambda bit: bit_field(kind, bit)
        ):
            first, *others = bits
            yield name.removesuffix(" bit"), first, [first, *others][-1]
