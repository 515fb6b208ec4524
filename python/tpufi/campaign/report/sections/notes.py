# SPDX-License-Identifier: Apache-2.0
"""Section: what a reader must know to read the numbers right."""

from collections.abc import Iterator

import numpy as np

from tpufi.campaign.effect import CLASSES
from tpufi.campaign.report.cells import count_text, share_text
from tpufi.campaign.report.document import Listing, Section
from tpufi.campaign.report.facts import Facts
from tpufi.campaign.report.printable import printable
from tpufi.campaign.report.rates import FEW

_LONGEST = 300


def sections(facts: Facts) -> tuple[Section, ...]:
    """Return the section."""
    points = (
        *_method(facts),
        *_sampling(facts),
        *_few(facts),
        *_never(facts),
        *_set_up(facts),
    )
    return (Section("notes", "How to read this", (Listing(points),)),)


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
    unjudged = len(facts.columns) - facts.counter.total
    if unjudged:
        yield (
            f"{count_text(unjudged)} experiments say nothing about their fault (see "
            f"what was run); rates are of the other {count_text(facts.counter.total)}."
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
        yield printable(text, _LONGEST + 200)
    if facts.allocation:
        yield from _allocation(facts)
        return
    expected = int(facts.columns.experiment.max()) + 1
    if expected > len(facts.columns):
        yield (
            f"{count_text(expected - len(facts.columns))} of the first "
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
    columns = facts.columns
    codes = np.stack([columns.codes[key] for key in keys], axis=1)
    places = np.unique(codes[facts.counter.judged], axis=0).tolist()
    there = {
        tuple(columns.values[key][i] for key, i in zip(keys, place, strict=True))
        for place in places
    }
    missing = [share for stratum, share in shares.items() if stratum not in there]
    if missing:
        yield (
            f"{len(missing)} of {len(shares)} strata, {share_text(sum(missing))} of "
            "the plan's faults, have no experiment and are missing from all rates."
        )


def _few(facts: Facts) -> Iterator[str]:
    found = []
    for key, rates in facts.rates.items():
        known = [rate for rate in rates if rate is not None]
        small = sum(rate.trials < FEW for rate in known)
        if small:
            title = facts.families[key].title
            found.append(f"{small} of {len(known)} by {title}")
    if found:
        yield f"Strata with fewer than {FEW} experiments: {'; '.join(found)}."
    if facts.counter.clusters < FEW:
        yield (
            f"The faults struck only {facts.counter.clusters} different steps: what "
            "depends on weights and batch is known from so few."
        )


def _never(facts: Facts) -> Iterator[str]:
    missing = [name for name in CLASSES if name not in facts.columns.values["outcome"]]
    if missing:
        high = facts.counter.interval(0, facts.counter.total).high
        careful = facts.counter.interval(0, facts.counter.clusters).high
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
