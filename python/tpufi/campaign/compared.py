# SPDX-License-Identifier: Apache-2.0
"""Compares two campaigns with faults at the same places, e.g. without and with a guard.

The faults are the same, so the campaigns are compared pair by pair: only experiments
that failed in one of them say something. The interval of the difference is for pairs.
"""

from collections.abc import Iterator

from tpufi.campaign.journal.answers import measures_of
from tpufi.campaign.journal.reader import Reader
from tpufi.errors import InputError
from tpufi.outcomes.outcome import MASKED, MASKED_IDENTICAL
from tpufi.statistics.comparison import paired_interval, sign_test

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
      InputError: they inject into other places, or have no experiment in common.
    """
    plans = [_plan(journal) for journal in (first, second)]
    for key in sorted({*plans[0], *plans[1]} - set(_MAY_DIFFER)):
        if plans[0].get(key) != plans[1].get(key):
            raise InputError(
                f"the campaigns differ in {key}, so their faults are no pairs; compare "
                "campaigns of one file in which only mitigation was changed"
            )
    if any("mitigation" in plan for plan in plans):
        marks = [" ".join(plan.get("mitigation", [])) or "none" for plan in plans]
        yield f"mitigation: {marks[0]} against {marks[1]}"
    yield _line("any failure", *(_failed(journal) for journal in (first, second)),
                confidence)  # fmt: skip
    for number, name, is_truth in measures_of(first):
        if is_truth:
            found = (dict(j.query(_PAIRS, (number,))) for j in (first, second))
            yield _line(name, *found, confidence)


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
    return journal.plan()
