# SPDX-License-Identifier: Apache-2.0
"""Sections: rates by the position of the flipped bit, and by the epoch of the fault."""

import itertools

from tpufi.campaign.report.cells import share_text
from tpufi.campaign.report.document import Paragraph, Picture, Section
from tpufi.campaign.report.facts import Facts
from tpufi.campaign.report.pictures import curve
from tpufi.campaign.report.stratum_table import stratum_table
from tpufi.campaign.report.value_class import bit_field

_AXES = {
    "bit": "position of the bit, 0 the least significant",
    "epoch": "epoch of the fault",
}


def sections(facts: Facts) -> tuple[Section, ...]:
    """Return a section for each number that the journal has more than one value of."""
    keys = [k for k in _AXES if len(facts.families.get(k, ())) > 1]
    return tuple(_section(facts, key) for key in keys)


def _section(facts: Facts, key: str) -> Section:
    family, rates = facts.families[key], facts.rates[key]
    numbers = family.numbers or ()
    known = [(r.share, n) for n, r in zip(numbers, rates, strict=True) if r]
    fields = _fields(facts) if key == "bit" else []
    picture = Picture(
        f"rates_by_{key}",
        f"Rate of a visible effect by {family.title}. Thick: interval; thin and grey: "
        "interval by steps.",
        f"Curve over {len(known)} values; the lowest rate is "
        f"{share_text(min(known)[0])} at {min(known)[1]}, the highest "
        f"{share_text(max(known)[0])} at {max(known)[1]}",
        lambda: curve.draw(numbers, rates, _AXES[key], fields),
    )
    blocks = [picture, stratum_table(facts, key)]
    if key == "bit":
        text = (
            "Of the experiments whose fault changes a single bit position. Other fault "
            "models change several bits or write whole values."
        )
        blocks.insert(0, Paragraph(text))
    return Section(f"by_{key}", f"By {family.title}", tuple(blocks))


def _fields(facts: Facts) -> list[tuple[str, int, int]]:
    """Return name, first and last bit of the fields, if all sites have one type."""
    kinds = set(facts.order.dtypes.values())
    if len(kinds) != 1:
        return []
    numbers = facts.families["bit"].numbers or (0,)
    (kind,) = kinds
    groups = itertools.groupby(range(max(numbers) + 1), lambda b: bit_field(kind, b))
    spans = [(name, list(bits)) for name, bits in groups]
    return [(name.removesuffix(" bit"), bits[0], bits[-1]) for name, bits in spans]
