# SPDX-License-Identifier: Apache-2.0
"""Section: what a reader must know to read the numbers right."""

from collections.abc import Iterator

from tpufi.campaign.inference import KIND
from tpufi.campaign.moment_table import moment_lines
from tpufi.campaign.report.cells import printable
from tpufi.campaign.report.document import Section
from tpufi.campaign.report.facts import Facts
from tpufi.campaign.report.rates import FEW
from tpufi.campaign.report.templates import rendered
from tpufi.campaign.unit_keys import recorded_unit
from tpufi.outcomes.outcome import CLASSES

_LONGEST = 1000  # Of a point; some name what the user wrote.
_SITE_WEIGHTS = {
    "elements": "every element of every site equally",
    "sites": "every site equally",
    "macs": "by the multiply-accumulates of its operation",
}


def sections(facts: Facts) -> Iterator[Section]:
    """Yield the section."""
    models, weights = _sampling(facts.plan.get("sampling"))
    if facts.plan.get("kind") == KIND:
        template = "notes_of_inference.j2"
        yield _section(template, facts, models=models, site_weights=weights)
        return
    seen = facts.experiments["outcome"].cat.categories
    yield _section(
        "notes_of_training.j2",
        facts,
        judged=len(facts.judged),
        confidence=facts.options.confidence,
        few=FEW,
        models=models,
        site_weights=weights,
        empty=_empty(facts),
        moments=list(moment_lines(facts.journal)),
        small=[
            f"{strata.small} of {len(strata.rates)} by {strata.title}"
            for strata in facts.strata.values()
            if strata.small
        ],
        unseen=[name for name in CLASSES if name not in seen],
    )


def _section(template: str, facts: Facts, **values: object) -> Section:
    text = rendered(
        template,
        facts=facts,
        experiments=len(facts.experiments),
        highest=int(facts.experiments["experiment"].max()),
        **values,
    )
    points = tuple(printable(line, _LONGEST) for line in text.split("\n") if line)
    return Section("notes", "How to read this", (points,))


def _sampling(sampling: object) -> tuple[str | None, str]:
    """Return the weights of fault models, empty if equal, and those of sites.

    Of a plan that does not tell, the first is None.
    """
    if not isinstance(sampling, dict):
        return None, ""
    pairs = [
        (name if isinstance(name, str) else recorded_unit(name).name, weight)
        for name, weight in sampling.get("models", [])
    ]
    is_equal = len({weight for _, weight in pairs}) < 2
    models = "" if is_equal else ", ".join(f"{name} {weight}" for name, weight in pairs)
    sites = str(sampling.get("site_weights"))
    return models, _SITE_WEIGHTS.get(sites, "as the plan says")


def _empty(facts: Facts) -> list[float]:
    """Return the shares of allotted strata that have no experiment."""
    if facts.allocation is None:
        return []
    groups = facts.judged.groupby(list(facts.allocation.keys), observed=True)
    there = {stratum for stratum, _ in groups}
    return [p for name, p in facts.allocation.shares.items() if name not in there]
