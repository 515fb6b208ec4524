# SPDX-License-Identifier: Apache-2.0
"""Section: what a reader must know to read the numbers right."""

from collections.abc import Iterator

from tpufi.campaign.effect import CLASSES
from tpufi.campaign.report.cells import count_text, printable, share_text
from tpufi.campaign.report.document import Section
from tpufi.campaign.report.facts import Facts
from tpufi.campaign.report.rates import FEW

_LONGEST = 1000  # Of a point; some name what the user wrote.


def of_training(facts: Facts) -> Iterator[Section]:
    """Yield the section on a campaign of training."""
    parts = (_method, _sampling, _few, _never, _set_up)
    yield _section(point for part in parts for point in part(facts))


def of_inference(facts: Facts) -> Iterator[Section]:
    """Yield the section on a campaign of inferences."""
    yield _section(_inference(facts))


def _section(points: Iterator[str]) -> Section:
    shown = tuple(printable(point, _LONGEST) for point in points)
    return Section("notes", "How to read this", (shown,))


def _method(facts: Facts) -> Iterator[str]:
    name = "Clopper-Pearson's exact" if facts.options.exact else "Wilson's"
    confidence = f"{facts.options.confidence:.4g}"
    yield (
        "A visible effect is any outcome that is not masked. Outcomes hold for the "
        "horizon and the thresholds of the plan; a longer one can change the class."
    )
    yield (
        f"Intervals are {name}, with confidence {confidence} each: of many intervals "
        f"about {1 - facts.options.confidence:.3g} miss their rate. Intervals "
        "by steps take the experiments of one (epoch, step) as a cluster, with "
        "Wilson's interval for the effective number of experiments; quote these where "
        "they are wider. A single step says nothing about others: 0 to 1."
    )
    unjudged = len(facts.experiments) - len(facts.judged)
    if unjudged:
        yield (
            f"{count_text(unjudged)} experiments say nothing about their fault (see "
            f"what was run); rates are of the other {count_text(len(facts.judged))}."
        )


def _sampling(facts: Facts) -> Iterator[str]:
    sampling = facts.plan.get("sampling")
    if isinstance(sampling, dict):
        pairs = sampling.get("models", [])
        weights = {weight for _, weight in pairs}
        models = "equally often"
        if len(weights) > 1:
            models = "with weights " + ", ".join(f"{n} {w}" for n, w in pairs)
        sites = {
            "elements": "every element of every site equally",
            "sites": "every site equally",
            "macs": "by the multiply-accumulates of its operation",
        }.get(str(sampling.get("site_weights")), "as the plan says")
        text = (
            f"Faults were drawn by the plan: fault models {models}, then the site "
            f"{sites}. Overall rates are means by these weights, not by how often "
            "hardware fails so."
        )
        yield text
    if facts.allocation:
        yield from _allocation(facts)
        return
    expected = int(facts.experiments["experiment"].max()) + 1
    if expected > len(facts.experiments):
        yield (
            f"{count_text(expected - len(facts.experiments))} of the first "
            f"{count_text(expected)} experiments are not in the journal. A campaign "
            "that was stopped lacks those of the later steps of its last window, so "
            "rates lean towards earlier ones."
        )


def _allocation(facts: Facts) -> Iterator[str]:
    keys, shares = facts.allocation.keys, facts.allocation.shares
    yield (
        f"The first {count_text(facts.allocation.pilot)} experiments are a pilot; "
        f"later ones were allotted to strata ({', '.join(keys)}) by Neyman's rule, "
        "more where outcomes vary more. Rates, intervals, tests and FIT weight a "
        "stratum by its share in the plan, with the effective number of experiments; "
        "counts, latency and propagation are of the experiments as they were run."
    )
    there = {stratum for stratum, _ in facts.judged.groupby(list(keys), observed=True)}
    missing = [share for stratum, share in shares.items() if stratum not in there]
    if missing:
        yield (
            f"{len(missing)} of {len(shares)} strata, {share_text(sum(missing))} of "
            "the plan's faults, have no experiment and are missing from all rates."
        )


def _few(facts: Facts) -> Iterator[str]:
    found = []
    for strata in facts.strata.values():
        if strata.small:
            found.append(f"{strata.small} of {len(strata.known)} by {strata.title}")
    if found:
        yield f"Strata with fewer than {FEW} experiments: {'; '.join(found)}."
    if facts.steps < FEW:
        yield (
            f"The faults struck only {facts.steps} different steps: what "
            "depends on weights and batch is known from so few."
        )


def _never(facts: Facts) -> Iterator[str]:
    missing = [
        name
        for name in CLASSES
        if name not in facts.experiments["outcome"].cat.categories
    ]
    if missing:
        high = facts.estimator.interval(0, len(facts.judged)).high
        careful = facts.estimator.interval(0, facts.steps).high
        yield (
            f"Not seen: {', '.join(missing)}. That is not never: each can have a rate "
            f"of up to {share_text(high)} of independent experiments, or "
            f"{share_text(careful)} if a step counts as one."
        )


def _set_up(facts: Facts) -> Iterator[str]:
    if facts.manifest.get("deterministic") == "no":
        yield (
            "The set-up was not deterministic, which the user allowed: a difference "
            "from golden need not be the fault's."
        )
    if not facts.order.position:
        yield (
            "The journal names no workload that is known here: layers stand by name, "
            "not by depth, and bits have no fields."
        )
    if facts.without_golden:
        yield facts.without_golden


def _inference(facts: Facts) -> Iterator[str]:
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
        f"Mitigation: {mitigation}. tools/inference.py compare tells two campaigns "
        "apart that differ in it."
    )
    missing = int(facts.experiments["experiment"].max()) + 1 - len(facts.experiments)
    if missing:
        yield (
            f"{count_text(missing)} experiments below the highest number are missing: "
            "the last window is not complete, and is no random sample yet."
        )
