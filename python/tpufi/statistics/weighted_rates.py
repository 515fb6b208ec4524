# SPDX-License-Identifier: Apache-2.0
"""A sum of rates of independent strata, each with its weight."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from tpufi.statistics.intervals import Interval, wilson


class Estimate(NamedTuple):
    """An estimated quantity and its confidence interval."""

    value: float
    interval: Interval


def weighted_rates(
    weights: Sequence[float],
    counts: Sequence[tuple[int, int]],
    confidence: float = 0.95,
) -> Estimate:
    """Estimate the sum of weight times rate over strata.

    With weights that add up to 1 this is the rate of the whole when strata were sampled
    in other proportions than they have, e.g. by Neyman's allocation.

    Args:
      weights: one a stratum, finite, >= 0.
      counts: hits and trials of each; a stratum without trials can have any rate.
      confidence: above 0, below 1.

    Raises:
      ValueError: an argument is out of range.

    Source: G. Y. Zou, A. Donner, Statistics in Medicine 27 (2008): the distances to
    Wilson's limits are added as variances are.
    """
    if len(weights) != len(counts):
        raise ValueError(f"{len(weights)} weights for {len(counts)} strata")
    value = 0.0
    below, above = [], []
    for weight, (hits, trials) in zip(weights, counts, strict=True):
        if not 0 <= weight < math.inf:
            raise ValueError(f"weight {weight}; expected a finite number of at least 0")
        low, high = wilson(hits, trials, confidence)
        rate = hits / trials if trials else 0.5
        value += weight * rate
        below.append(weight * (rate - low))
        above.append(weight * (high - rate))
    interval = Interval(value - math.hypot(*below), value + math.hypot(*above))
    return Estimate(value, interval)
