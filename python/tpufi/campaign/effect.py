# SPDX-License-Identifier: Apache-2.0
"""Which outcomes are a visible effect of the fault, and in what order they stand."""

from collections.abc import Iterable

from tpufi.campaign.engine.unplanned import UNPLANNED
from tpufi.outcomes import outcome as classes

MASKED = (classes.MASKED_IDENTICAL, classes.MASKED)


def is_judged(outcome: str) -> bool:
    """Return whether an outcome says something about the fault."""
    return outcome not in UNPLANNED


def is_visible(outcome: str) -> bool:
    """Return whether an outcome is an effect that is not masked."""
    return is_judged(outcome) and outcome not in MASKED


def in_order(outcomes: Iterable[str]) -> tuple[str, ...]:
    """Return different outcomes, known ones first, from masked to grave."""
    found = set(outcomes)
    known = [name for name in (*classes.CLASSES, *UNPLANNED) if name in found]
    return (*known, *sorted(found.difference(known)))
