# SPDX-License-Identifier: Apache-2.0
"""One report on the campaigns of several workloads or programs."""

import dataclasses
from collections.abc import Mapping

from tpufi.campaign.detector_bench import Bench
from tpufi.campaign.detector_table import read_found
from tpufi.campaign.report.cells import count_text, printable
from tpufi.campaign.report.detector_bench import bench_sections
from tpufi.campaign.report.document import Block, Document, Picture, Section, Table
from tpufi.campaign.report.facts import Facts
from tpufi.campaign.report.sections import outcomes


def combined(campaigns: Mapping[str, Facts]) -> Document:
    """Return the report.

    Args:
      campaigns: what each found, by its name; at least two.
    """
    first = next(iter(campaigns.values()))
    number = sum(len(facts.experiments) for facts in campaigns.values())
    names = ", ".join(map(printable, campaigns))
    return Document(
        title=first.options.title or f"Fault campaigns on {names}",
        summary=(
            f"{len(campaigns)} campaigns, {count_text(number)} experiments; intervals "
            f"with confidence {first.options.confidence:.4g}; written by tpufi "
            "campaign report. The folder of each has its own report."
        ),
        header={
            printable(name): f"{count_text(len(facts.experiments))} experiments"
            for name, facts in campaigns.items()
        },
        sections=(
            _beside(campaigns),
            *_detectors(campaigns),
            *map(_own, campaigns.items()),
        ),
    )


def _detectors(campaigns: Mapping[str, Facts]) -> tuple[Section, ...]:
    """Return what detectors found in all of them; none if one has no detectors."""
    found = {name: read_found(facts.journal) for name, facts in campaigns.items()}
    if not all(one is not None and len(one.numbers) for one in found.values()):
        return ()
    return tuple(
        dataclasses.replace(section, title=f"Detectors: {section.title}")
        for section in bench_sections(Bench(found, {}))
    )


def _beside(campaigns: Mapping[str, Facts]) -> Section:
    """Return the rates of visible effects beside each other."""
    rows = []
    for name, facts in campaigns.items():
        estimator = facts.estimator
        rate = estimator.rate(estimator.counts(["cluster"]))
        rows.append({"campaign": name, **rate.cells()})
    table = Table.of("campaigns", "Any visible effect, by campaign.", rows)
    note = (
        "Campaigns of one file draw from the same plan, but from other sites: a "
        "difference of two rates is one of workloads and of what was drawn in them."
    )
    return Section("campaigns", "Campaigns beside each other", (table, note))


def _own(campaign: tuple[str, Facts]) -> Section:
    """Return the outcomes of one campaign under its name."""
    name, facts = campaign
    (section,) = outcomes.sections(facts)
    blocks = tuple(_renamed(block, name) for block in section.blocks)
    return Section(f"outcomes_{name}", printable(name), blocks)


def _renamed(block: Block, name: str) -> Block:
    """Return a block with a key that no other campaign has."""
    if isinstance(block, Table | Picture):
        return dataclasses.replace(block, key=f"{block.key}_{name}")
    return block
