# SPDX-License-Identifier: Apache-2.0
"""Sections: rates by fault model, layer, direction, operand, ..., bit and epoch."""

import itertools
from collections.abc import Callable, Iterator, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from tpufi.campaign.effect import in_order
from tpufi.campaign.report.cells import printable, share_text
from tpufi.campaign.report.document import Block, Picture, Section, Table
from tpufi.campaign.report.facts import Facts
from tpufi.campaign.report.figures import new_figure
from tpufi.campaign.report.palette import FIRST, LINE, MUTED
from tpufi.campaign.report.rates import FEW, Rate, Strata
from tpufi.campaign.report.strata import bit_field

_NAMED = ("model", "direction", "operand", "value_class", "layer", "depth")
_AXES = {
    "bit": "position of the bit, 0 the least significant",
    "epoch": "epoch of the fault",
}
_MOST_IN_PICTURE = 80
_LONGEST = 44


def named(facts: Facts) -> Iterator[Section]:
    """Yield a section for each property that has names."""
    for key in dict.fromkeys((*_NAMED, "-".join(facts.options.by))):
        if key in facts.strata:
            yield _named(facts, key)


def numbered(facts: Facts) -> Iterator[Section]:
    """Yield a section for bits and epochs if there is more than one value."""
    for key in _AXES:
        if key in facts.strata and len(facts.strata[key].rates) > 1:
            yield _numbered(facts, key)


def _named(facts: Facts, key: str) -> Section:
    strata = facts.strata[key]
    blocks: list[Block] = []
    if len(strata.rates) <= _MOST_IN_PICTURE:
        alternative = f"No stratum by {strata.title} has a rate"
        if strata.known:
            low, high = _ends(strata)
            alternative = (
                f"Points with intervals for {len(strata.known)} strata by "
                f"{strata.title}; the lowest rate is {share_text(low[0])} for "
                f"{low[1]}, the highest {share_text(high[0])} for {high[1]}"
            )
        blocks.append(_picture(key, strata, alternative, lambda: _points(strata)))
    if strata.small:
        blocks.append(
            f"{strata.small} of {len(strata.known)} strata have fewer than {FEW} "
            "experiments: of these read the interval, not the rate."
        )
    blocks.append(_table(facts, key))
    return Section(f"by_{key}", f"By {strata.title}", tuple(blocks))


def _numbered(facts: Facts, key: str) -> Section:
    strata = facts.strata[key]
    fields = _fields(facts) if key == "bit" else []
    low, high = _ends(strata)
    picture = _picture(
        key,
        strata,
        f"Curve over {len(strata.known)} values; the lowest rate is "
        f"{share_text(low[0])} at {low[1]}, the highest {share_text(high[0])} at "
        f"{high[1]}",
        lambda: _curve(strata, _AXES[key], fields),
    )
    text = (
        "Of the experiments whose fault changes a single bit position. Other fault "
        "models change several bits or write whole values."
    )
    blocks = (*([text] if key == "bit" else []), picture, _table(facts, key))
    return Section(f"by_{key}", f"By {strata.title}", blocks)


def _picture(
    key: str, strata: Strata, alternative: str, draw: Callable[[], Figure]
) -> Picture:
    caption = (
        f"Rate of a visible effect by {strata.title}. Thick: interval; thin and grey: "
        "interval by steps."
    )
    return Picture(f"rates_by_{key}", caption, alternative, draw)


def _ends(strata: Strata) -> tuple[tuple[float, object], tuple[float, object]]:
    """Return the lowest and the highest rate, and where they are."""
    found = [
        (rate.share, printable(label) if isinstance(label, str) else label)
        for label, rate in strata.known.items()
    ]
    return min(found), max(found)


def _table(facts: Facts, key: str) -> Table:
    strata = facts.strata[key]
    counts = facts.estimator.outcomes(key)
    outcomes = in_order(facts.judged["outcome"].unique())
    counts = counts.reindex(columns=outcomes, fill_value=0)
    return Table.of(
        f"by_{key}",
        f"Visible effects by {strata.title}, and experiments of each outcome.",
        (
            strata.title,
            ("experiments", "count"),
            ("visible", "count"),
            ("rate", "share"),
            ("interval", "interval"),
            ("interval by steps", "interval"),
            *((outcome, "count") for outcome in outcomes),
        ),
        [
            (str(label), rate.trials, rate.hits, rate.share, rate.interval,
             rate.clustered.interval, *counts.loc[label].tolist())
            for label, rate in strata.known.items()
        ],
    )  # fmt: skip


def _fields(facts: Facts) -> list[tuple[str, int, int]]:
    """Return name, first and last bit of the fields, if all sites have one type."""
    kinds = set(facts.order.dtypes.values())
    if len(kinds) != 1:
        return []
    (kind,) = kinds
    numbers = range(max(facts.strata["bit"].rates) + 1)
    groups = itertools.groupby(numbers, lambda bit: bit_field(kind, bit))
    spans = [(name, list(bits)) for name, bits in groups]
    return [(name.removesuffix(" bit"), bits[0], bits[-1]) for name, bits in spans]


def _points(strata: Strata) -> Figure:
    """Return points with whiskers, strata from top to bottom."""
    labels = [printable(label, _LONGEST) for label in strata.rates]
    figure = new_figure(8.6, 0.9 + 0.2 * max(3, len(labels)))
    axes = figure.add_subplot()
    places = [i for i, rate in enumerate(strata.rates.values()) if rate is not None]
    rates = list(strata.known.values())
    _whiskers(axes.hlines, places, rates)
    axes.plot([r.share for r in rates], places, "o", color=FIRST.light, markersize=4.5)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel("visible effect")
    axes.grid(axis="y", visible=False)
    return figure


def _curve(strata: Strata, axis: str, fields: Sequence[tuple[str, int, int]]) -> Figure:
    """Return rates along a number, ascending.

    Args:
      strata: by number.
      axis: what the numbers are.
      fields: name, first and last number of ranges to mark.
    """
    figure = new_figure(8.6, 2.9)
    axes = figure.add_subplot()
    places, rates = list(strata.known), list(strata.known.values())
    _whiskers(axes.vlines, places, rates)
    shares = [rate.share for rate in rates]
    axes.plot(places, shares, color=FIRST.light, linewidth=1, marker="o", markersize=4)
    for name, first, last in fields:
        axes.axvline(last + 0.5, color=LINE.light, linewidth=1)
        axes.text(
            (first + last) / 2, 1.01, name, ha="center", va="bottom", fontsize=8,
            transform=axes.get_xaxis_transform(),
        )  # fmt: skip
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel(axis)
    axes.set_ylabel("visible effect")
    return figure


def _whiskers(lines: Callable, places: Sequence[float], rates: Sequence[Rate]) -> None:
    """Draw the intervals by steps, thin, then the others."""
    low, high = zip(*(rate.clustered.interval for rate in rates), strict=True)
    lines(places, low, high, color=MUTED.light, linewidth=1)
    low, high = zip(*(rate.interval for rate in rates), strict=True)
    lines(places, low, high, color=FIRST.light, linewidth=3.5, alpha=0.6)
