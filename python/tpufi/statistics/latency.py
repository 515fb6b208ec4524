# SPDX-License-Identifier: Apache-2.0
"""Detection latency: steps from the fault to the first detectable one."""

import dataclasses
import itertools
import math
from collections.abc import Mapping

from tpufi.statistics.intervals import Interval, wilson


@dataclasses.dataclass(frozen=True)
class LatencySummary:
    """Latencies of many experiments; those never detected count as beyond any step.

    Args:
      experiments: all of them.
      detected: those with a visible effect inside the horizon.
      share: interval of the share that is detected.
      mean: steps, over the detected ones; nan if there are none.
      quantiles: probability -> steps over all experiments; inf: not inside the horizon.
      longest: steps; None if nothing was detected.
    """

    experiments: int
    detected: int
    share: Interval
    mean: float
    quantiles: Mapping[float, float]
    longest: int | None


def summarise_latency(
    counts: Mapping[int | None, int],
    probabilities: tuple[float, ...] = (0.5, 0.9, 0.99),
    confidence: float = 0.95,
) -> LatencySummary:
    """Summarise how many experiments had which latency.

    Args:
      counts: steps, >= 0 -> experiments, >= 0; None -> those never detected.
      probabilities: of the quantiles, above 0, up to 1. A quantile is the least latency
        that at least this share of all experiments does not exceed.
      confidence: of the share, above 0, below 1.

    Raises:
      ValueError: a number is out of range.

    Example:
      >>> summary = summarise_latency({0: 6, 3: 1, None: 3})
      >>> summary.detected, summary.quantiles[0.5], summary.quantiles[0.9]
      (7, 0, inf)
    """
    for steps, count in counts.items():
        if count < 0 or (steps is not None and steps < 0):
            raise ValueError(f"{count} experiments of latency {steps}; expected >= 0")
    seen = sorted((s, c) for s, c in counts.items() if s is not None and c)
    total, detected = sum(counts.values()), sum(count for _, count in seen)
    running = list(itertools.accumulate(count for _, count in seen))
    quantiles = {}
    for probability in probabilities:
        if not 0 < probability <= 1:
            raise ValueError(f"probability {probability}; expected above 0, up to 1")
        # A float such as 0.9 * 10 must not ask for one experiment more.
        rank = max(1, math.ceil(probability * total * (1 - 1e-12)))
        reached = (s for (s, _), r in zip(seen, running, strict=True) if r >= rank)
        quantiles[probability] = next(reached, math.inf)
    return LatencySummary(
        experiments=total,
        detected=detected,
        share=wilson(detected, total, confidence),
        mean=sum(s * c for s, c in seen) / detected if detected else math.nan,
        quantiles=quantiles,
        longest=seen[-1][0] if seen else None,
    )
