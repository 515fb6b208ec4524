# SPDX-License-Identifier: Apache-2.0
"""Section: two-proportion tests between the strata of each property."""

import itertools
from collections.abc import Iterator

from tpufi.campaign.report.cells import PValue, Share
from tpufi.campaign.report.document import Section, Table
from tpufi.campaign.report.facts import Facts
from tpufi.campaign.report.rates import Rate
from tpufi.statistics.comparison import compare, fisher, holm

_MOST_STRATA = 200
_MOST_IN_PAIRS = 6
_LEAST_EXPECTED = 5
_OTHERS = "all others"
_NUMBERS = ("bit", "epoch")  # Their curves say more than tests of single values.
_EXPLAINED = (
    "Two-sided tests of equal rates of a visible effect: all pairs of up to six "
    "strata; of more, each stratum against all others. p: of independent "
    "experiments, by the pooled z test, or Fisher's exact test where a count of "
    "fewer than 5 is expected. p by steps: the same with the effective number of "
    "experiments (Rao and Scott), as those at one step are alike, and never below "
    "p. Holm's adjustment is over all tests of a table, so that one false alarm in "
    "it is as rare as the confidence says."
)


def sections(facts: Facts) -> Iterator[Section]:
    """Yield the section; none if there is nothing to compare."""
    tables, large = [], []
    for key, strata in facts.strata.items():
        if key in _NUMBERS:
            continue
        if len(strata.rates) > _MOST_STRATA:
            large.append(f"{strata.title} ({len(strata.rates)} strata)")
        elif len(strata.rates) > 1:
            tables.append(_table(facts, key))
    if tables:
        left = f"Left out, too many strata: {', '.join(large)}."
        blocks = (_EXPLAINED, *([left] if large else []), *tables)
        yield Section("comparisons", "Differences between strata", blocks)


def _table(facts: Facts, key: str) -> Table:
    """Test all pairs of a few strata, else each against all others."""
    strata, confidence = facts.strata[key], facts.options.confidence
    if len(strata.rates) <= _MOST_IN_PAIRS:
        pairs, against = itertools.combinations(strata.rates.items(), 2), "in pairs"
    else:
        others, against = facts.estimator.others(key), f"against {_OTHERS}"
        pairs = [(own, (_OTHERS, others[own[0]])) for own in strata.rates.items()]
    tests = [
        {strata.title: first, "against": second, **_test(a, b, confidence)}
        for (first, a), (second, b) in pairs
    ]
    told = [test for test in tests if test["p by steps"] is not None]
    adjusted = holm([test["p by steps"] for test in told])
    for test, p_value in zip(told, adjusted, strict=True):
        differs = p_value <= 1 - confidence
        test["p by steps, Holm"] = PValue(p_value)
        test["verdict"] = "differs" if differs else "not shown"
    return Table.of(f"tests_{key}", f"By {strata.title}, {against}.", tests)


def _test(a: Rate, b: Rate, confidence: float) -> dict[str, object]:
    """Return the cells of a test, as of one with too few steps to tell."""
    counts = (a.hits, a.trials), (b.hits, b.trials)
    weighted = a.effective < a.trials or b.effective < b.trials
    alone = [(r.share * r.effective, r.effective) for r in (a, b)]
    plain = compare(*(alone if weighted else counts), confidence)
    hits = a.hits + b.hits
    misses = a.trials + b.trials - hits
    least = min(hits, misses) * min(a.trials, b.trials) / (a.trials + b.trials)
    # Fisher's test has no weights.
    small = least < _LEAST_EXPECTED and not weighted
    p_value = fisher(*counts) if small else plain.p_value
    by_steps = None
    if min(a.clustered.trials, b.clustered.trials) > 1:
        # Rao and Scott's way: counts are divided by the design effect.
        effective = [(r.share * r.clustered.trials, r.clustered.trials) for r in (a, b)]
        by_steps = PValue(max(p_value, compare(*effective, confidence).p_value))
    return {
        "rate": Share(a.share),
        "other rate": Share(b.share),
        "difference": Share(plain.difference),
        "interval of the difference": plain.interval,
        "test": "Fisher" if small else "z",
        "p": PValue(p_value),
        "p by steps": by_steps,
        "p by steps, Holm": None,
        "verdict": "too few steps",
    }
