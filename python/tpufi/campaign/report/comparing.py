# SPDX-License-Identifier: Apache-2.0
"""Whether rates of strata differ: tests of pairs, or of each against all others."""

import itertools
from typing import NamedTuple

import numpy as np

from tpufi.campaign.report.facts import Facts
from tpufi.campaign.report.family import Family
from tpufi.campaign.report.rates import Rate
from tpufi.campaign.statistics.comparison import compare, fisher, holm
from tpufi.campaign.statistics.intervals import Interval

_MOST_IN_PAIRS = 6
_LEAST_EXPECTED = 5
OTHERS = "all others"


class Test(NamedTuple):
    """One test of two rates.

    Args:
      first: stratum.
      second: stratum, or `OTHERS`.
      rates: of both.
      difference: of the rates, first less second.
      interval: of the difference, of independent experiments.
      method: `z`, or `Fisher` where a count is small.
      p_value: two-sided, of independent experiments.
      by_steps: with the effective numbers of experiments; None: too few steps to tell.
      adjusted: `by_steps` by Holm over all tests of the family, else `p_value` so.
    """

    __test__ = False  # Nothing for pytest.

    first: str
    second: str
    rates: tuple[Rate, Rate]
    difference: float
    interval: Interval
    method: str
    p_value: float
    by_steps: float | None
    adjusted: float | None


def tests(facts: Facts, family: Family) -> list[Test]:
    """Test the strata of a family: all pairs of a few, else each against all others."""
    rates = facts.rates[family.key]
    known = [(n, r) for n, r in zip(family.labels, rates, strict=True) if r]
    if len(known) < 2:
        return []
    if len(known) <= _MOST_IN_PAIRS:
        pairs = list(itertools.combinations(known, 2))
    else:
        rest = _rest(facts, family)
        pairs = [((n, r), (OTHERS, rest[n])) for n, r in known]
    confidence = facts.options.confidence
    found = [_test(first, second, confidence) for first, second in pairs]
    told = [i for i, test in enumerate(found) if test.by_steps is not None]
    adjusted = holm([found[i].by_steps for i in told])
    for i, value in zip(told, adjusted, strict=True):
        found[i] = found[i]._replace(adjusted=value)
    return found


def _rest(facts: Facts, family: Family) -> dict[str, Rate]:
    """Return, for each stratum, the rate of all others of its family together."""
    counter = facts.counter
    inside = Family(
        "all", "all", ("all",), np.where(family.codes < 0, -1, 0).astype(np.int8)
    )
    (whole,) = counter.by_cluster(inside, counter.visible, range(1))
    rest = {}
    for i, name in enumerate(family.labels):
        (own,) = counter.by_cluster(family, counter.visible, range(i, i + 1))
        if own[:, 1].any() and (whole - own)[:, 1].any():
            rest[name] = counter.rate(whole - own)
    return rest


def _test(first: tuple[str, Rate], second: tuple[str, Rate], confidence: float) -> Test:
    (one, a), (other, b) = first, second
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
        by_steps = max(p_value, compare(*effective, confidence).p_value)
    return Test(
        one,
        other,
        (a, b),
        plain.difference,
        plain.interval,
        "Fisher" if small else "z",
        p_value,
        by_steps,
        None,
    )
