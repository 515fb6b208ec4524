# SPDX-License-Identifier: Apache-2.0
"""Section: how to read the report on a campaign of inferences."""

from collections.abc import Iterator

from tpufi.campaign.report.cells import count_text
from tpufi.campaign.report.document import Listing, Section
from tpufi.campaign.report.facts import Facts
from tpufi.campaign.report.printable import printable

_LONGEST = 1000  # Of a point; names in it are of the user's program.


def sections(facts: Facts) -> tuple[Section, ...]:
    """Return the section."""
    points = tuple(printable(point, _LONGEST) for point in _points(facts))
    return (Section("notes", "How to read this", (Listing(points),)),)


def _points(facts: Facts) -> Iterator[str]:
    plan = facts.plan
    yield (
        "An experiment is one input with one flipped bit at one site. A step is an "
        "input: intervals by steps take the experiments of one input as a cluster, "
        "for they are alike. Layers are sites, in the order of the program's names; "
        "operands are operation types."
    )
    yield (
        "A visible effect is any outcome but the two masked ones; an outcome is the "
        "gravest failure of the plan that holds, and its name is its definition. "
        "Masked without more: the answer changed, but no failure holds."
    )
    kind = {"elements": "every element of every site", "sites": "every site"}
    struck = kind.get(str(plan.get("weights")), "sites as the plan says,")
    yield (
        f"Faults were drawn with {struck} equally likely, then the bit. Rates are "
        "means by these weights, not by how often hardware fails so."
    )
    only = " that the program classifies rightly" if plan.get("only_correct") else ""
    yield (
        f"{count_text(int(plan.get('items', 0)))} inputs{only} were used, in batches "
        f"of {plan.get('batch')}; each item of a batch has a fault of its own."
    )
    mitigation = " and ".join(plan.get("mitigation", [])) or "none"
    yield (
        f"Mitigation: {mitigation}. tpufi inference compare tells two campaigns "
        "apart that differ in it."
    )
    missing = int(facts.columns.experiment.max()) + 1 - len(facts.columns)
    if missing:
        yield (
            f"{count_text(missing)} experiments below the highest number are missing: "
            "the last window is not complete, and is no random sample yet."
        )
