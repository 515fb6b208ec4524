# SPDX-License-Identifier: Apache-2.0
"""Compares two campaigns that struck the same places, e.g. without and with a guard.

The faults are the same, so the campaigns are compared pair by pair: only experiments
that failed in one of them say something. The interval of the difference is for pairs.
"""

import json
import math
from collections.abc import Iterator, Sequence

from tpufi.campaign.inference.answers import measures_of
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.statistics.incomplete_beta import log_binomial
from tpufi.campaign.statistics.intervals import Interval, wilson
from tpufi.errors import InputError
from tpufi.outcomes.outcome import MASKED, MASKED_IDENTICAL

_MAY_DIFFER = ("mitigation", "threads", "rounds")
_PAIRS = "SELECT experiment, value FROM answer WHERE measure = ? AND value IS NOT NULL"


def compared_lines(
    first: Reader, second: Reader, confidence: float = 0.95
) -> Iterator[str]:
    """Yield a line for each failure: both rates, the difference, its interval, p.

    Args:
      first: a campaign.
      second: another one with the same faults.
      confidence: of the intervals, above 0, below 1.

    Raises:
      InputError: they are no inference campaigns, or strike other places.
    """
    plans = [_plan(journal) for journal in (first, second)]
    for key in sorted({*plans[0], *plans[1]} - set(_MAY_DIFFER)):
        if plans[0].get(key) != plans[1].get(key):
            raise InputError(
                f"the campaigns differ in {key}, so their faults are no pairs; compare "
                "campaigns of one file in which only mitigation was changed"
            )
    marks = [" ".join(plan.get("mitigation", [])) or "none" for plan in plans]
    yield f"mitigation: {marks[0]} against {marks[1]}"
    yield _line("any failure", *(_failed(journal) for journal in (first, second)),
                confidence)  # fmt: skip
    for number, name, is_truth in measures_of(first):
        if is_truth:
            found = (dict(j.query(_PAIRS, (number,))) for j in (first, second))
            yield _line(name, *found, confidence)


def paired_interval(counts: Sequence[Sequence[int]], confidence: float) -> Interval:
    """Return the interval of the difference of two rates of pairs.

    Args:
      counts: pairs, by whether the first failed, then by whether the second did; >= 1
        together.
      confidence: above 0, below 1.

    Source: R. G. Newcombe, Statistics in Medicine 17 (1998) 2635: score intervals of
      both rates, put together with the correlation of the pairs.
    """
    (neither, only_second), (only_first, both) = counts
    total = neither + only_second + only_first + both
    failed = only_first + both, only_second + both
    rates = [count / total for count in failed]
    ends = [wilson(count, total, confidence) for count in failed]
    margins = math.prod(count * (total - count) for count in failed)
    correlation = both * neither - only_first * only_second
    phi = correlation / math.sqrt(margins) if margins else 0.0

    def apart(x: float, y: float) -> float:
        return math.sqrt(max(0.0, x * x - 2 * phi * x * y + y * y))

    difference = rates[0] - rates[1]
    low = difference - apart(rates[0] - ends[0].low, ends[1].high - rates[1])
    high = difference + apart(ends[0].high - rates[0], rates[1] - ends[1].low)
    return Interval(low, high)


def sign_test(only_first: int, only_second: int) -> float:
    """Return the two-sided p-value of as unequal numbers, were both as likely.

    Source: Q. McNemar, Psychometrika 12 (1947), in its exact form.
    """
    total, few = only_first + only_second, min(only_first, only_second)
    tail = math.fsum(math.exp(log_binomial(k, total, 0.5)) for k in range(few + 1))
    return min(1.0, 2 * tail)


def _line(name: str, first: dict, second: dict, confidence: float) -> str:
    both = sorted(first.keys() & second.keys())
    if not both:
        raise InputError("the campaigns have no experiment in common; run both")
    counts = [[0, 0], [0, 0]]
    for number in both:
        counts[bool(first[number])][bool(second[number])] += 1
    (_, only_second), (only_first, twice) = counts
    rates = [(only + twice) / len(both) for only in (only_first, only_second)]
    low, high = paired_interval(counts, confidence)
    return (
        f"{name}: {rates[0]:.3%} against {rates[1]:.3%} of {len(both)} pairs, "
        f"difference {rates[0] - rates[1]:.3%} [{low:.3%}, {high:.3%}], only in the "
        f"first {only_first}, only in the second {only_second}, p "
        f"{sign_test(only_first, only_second):.3g}"
    )


def _failed(journal: Reader) -> dict[int, bool]:
    rows = journal.query("SELECT experiment, outcome FROM experiment")
    return {number: outcome not in (MASKED, MASKED_IDENTICAL) for number, outcome in
            rows}  # fmt: skip


def _plan(journal: Reader) -> dict:
    plan = json.loads(journal.manifest().get("plan", "{}"))
    if plan.get("kind") != "inference":
        raise InputError("a campaign is no inference campaign; compare two of these")
    return plan
