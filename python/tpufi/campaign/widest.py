# SPDX-License-Identifier: Apache-2.0
"""The widest interval of a campaign: what is known worst, and what a stop rule asks."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from tpufi.statistics.intervals import Interval, wilson


class Widest(NamedTuple):
    """An interval that no other is wider than.

    Args:
      width: of the interval, 0 to 1.
      stratum: where.
      outcome: of which outcome; empty where the stratum has no experiment.
    """

    width: float
    stratum: tuple
    outcome: str


def widest_interval(
    tally: Mapping[tuple, int],
    strata: Iterable[tuple],
    confidence: float = 0.95,
    method: Callable[[int, int, float], Interval] = wilson,
) -> Widest:
    """Return the widest interval of any outcome in any stratum.

    Args:
      tally: (*stratum, outcome) -> experiments, as `Reader.tally` counts them.
      strata: all there can be, as `plan.strata` lists them, at least one; one without
        an experiment has width 1.
      confidence: of the intervals, above 0, below 1.
      method: `wilson` or `clopper_pearson`.
    """
    trials = stratum_sizes(tally)
    return max(
        Widest(
            method(tally.get((*stratum, outcome), 0), trials[stratum], confidence).width
            if stratum in trials
            else 1.0,
            stratum,
            outcome if stratum in trials else "",
        )
        for stratum in strata
        for outcome in sorted({key[-1] for key in tally}) or [""]
    )


def stratum_sizes(tally: Mapping[tuple, int]) -> dict[tuple, int]:
    """Return the experiments of each stratum over all outcomes."""
    sizes: dict[tuple, int] = {}
    for key, count in tally.items():
        sizes[key[:-1]] = sizes.get(key[:-1], 0) + count
    return sizes
