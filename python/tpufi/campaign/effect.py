# SPDX-License-Identifier: Apache-2.0
"""Which outcomes are a visible effect of the fault, and in what order they stand."""

from collections.abc import Iterable

from tpufi.campaign.engine.unplanned import UNPLANNED
from tpufi.outcomes import outcome as classes

MASKED = (classes.MASKED_IDENTICAL, classes.MASKED)
# From no effect to the most severe, with the words of docs/outcomes.md.
CLASSES = (
    *MASKED,
    classes.LOW_TEST_ACCURACY,
    classes.SLOW_DEGRADE,
    classes.SHARP_DEGRADE,
    classes.SHARP_SLOW_DEGRADE,
    classes.SHORT_TERM,
    classes.IMMEDIATE,
)


def is_judged(outcome: str) -> bool:
    """Return whether an outcome says something about the fault."""
    return outcome not in UNPLANNED


def is_visible(outcome: str) -> bool:
    """Return whether an outcome is an effect that is not masked."""
    return is_judged(outcome) and outcome not in MASKED


def in_order(outcomes: Iterable[str]) -> tuple[str, ...]:
    """Return different outcomes, known ones first, from masked to grave."""
    found = set(outcomes)
    known = [name for name in (*CLASSES, *UNPLANNED) if name in found]
    return (*known, *sorted(found.difference(known)))
