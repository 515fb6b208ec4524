# SPDX-License-Identifier: Apache-2.0
"""The report of a campaign as a document: its sections, in order."""

from tpufi.campaign.report.cells import count_text
from tpufi.campaign.report.document import Document
from tpufi.campaign.report.facts import Facts
from tpufi.campaign.report.printable import printable
from tpufi.campaign.report.sections import (
    comparisons,
    curves,
    fit,
    heat_map,
    latency,
    losses,
    notes,
    outcomes,
    propagation,
    replays,
    run,
    strata,
)

_SECTIONS = (
    outcomes.sections,
    notes.sections,
    strata.sections,
    heat_map.sections,
    curves.sections,
    latency.sections,
    propagation.sections,
    losses.sections,
    comparisons.sections,
    fit.sections,
    replays.sections,
    run.sections,
)


def build(facts: Facts) -> Document:
    """Return the document.

    Raises:
      InputError: what the user asks for cannot be told from this campaign.
    """
    workload = printable(facts.plan.get("workload", "unknown workload"))
    method = "Clopper-Pearson's" if facts.options.exact else "Wilson's"
    return Document(
        title=facts.options.title or f"Fault campaign on {workload}",
        summary=(
            f"{workload}, {count_text(len(facts.columns))} experiments; {method} "
            f"intervals with confidence {facts.options.confidence:.4g}; written by "
            "tpufi campaign report."
        ),
        sections=tuple(s for make in _SECTIONS for s in make(facts)),
    )
