# SPDX-License-Identifier: Apache-2.0
"""Sections: rates by fault model, layer, direction, operand, value class, depth."""

from tpufi.campaign.report.cells import share_text
from tpufi.campaign.report.document import Block, Paragraph, Picture, Section
from tpufi.campaign.report.facts import Facts
from tpufi.campaign.report.family import Family
from tpufi.campaign.report.pictures import intervals
from tpufi.campaign.report.rates import FEW, Rate
from tpufi.campaign.report.stratum_table import stratum_table

_NAMED = ("model", "direction", "operand", "value_class", "layer", "depth")
_MOST_IN_PICTURE = 80


def sections(facts: Facts) -> tuple[Section, ...]:
    """Return a section for each family with names."""
    chosen = "-".join(facts.options.by)
    keys = dict.fromkeys((*_NAMED, chosen))
    return tuple(_section(facts, key) for key in keys if key in facts.families)


def _section(facts: Facts, key: str) -> Section:
    family, rates = facts.families[key], facts.rates[key]
    blocks: list[Block] = []
    if len(family) <= _MOST_IN_PICTURE:
        blocks.append(
            Picture(
                f"rates_by_{key}",
                f"Rate of a visible effect by {family.title}. Thick: interval; thin "
                "and grey: interval by steps.",
                _alternative(family, rates),
                lambda: intervals.draw(family.labels, rates, "visible effect"),
            )
        )
    known = [rate for rate in rates if rate is not None]
    small = sum(rate.trials < FEW for rate in known)
    if small:
        blocks.append(
            Paragraph(
                f"{small} of {len(known)} strata have fewer than {FEW} experiments: of "
                "these read the interval, not the rate."
            )
        )
    blocks.append(stratum_table(facts, key))
    return Section(f"by_{key}", f"By {family.title}", tuple(blocks))


def _alternative(family: Family, rates: list[Rate | None]) -> str:
    known = [(r.share, n) for n, r in zip(family.labels, rates, strict=True) if r]
    if not known:
        return f"No stratum by {family.title} has a rate"
    (low, least), (high, most) = min(known), max(known)
    return (
        f"Points with intervals for {len(known)} strata by {family.title}; the lowest "
        f"rate is {share_text(low)} for {least}, the highest {share_text(high)} for "
        f"{most}"
    )
