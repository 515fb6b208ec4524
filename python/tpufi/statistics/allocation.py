# SPDX-License-Identifier: Apache-2.0
"""Neyman's allocation: more experiments where outcomes vary more."""

import math
from collections.abc import Sequence


def neyman(
    total: int,
    weights: Sequence[float],
    counts: Sequence[tuple[int, int]],
    least: int = 1,
) -> tuple[int, ...]:
    """Divide experiments among strata so that the overall rate is estimated best.

    A stratum gets experiments in proportion to its weight times the standard deviation
    of its outcome, estimated from a pilot.

    Args:
      total: experiments to divide, >= `least` times the number of strata.
      weights: share of each stratum in the whole, >= 0, not all 0.
      counts: hits and trials of the pilot, by stratum.
      least: experiments that each stratum gets in any case.

    Returns:
      Experiments by stratum; they add up to `total`.

    Raises:
      ValueError: an argument is out of range.

    Example:
      >>> neyman(100, [0.5, 0.5], [(50, 100), (1, 100)])
      (78, 22)

    Source: J. Neyman, Journal of the Royal Statistical Society 97 (1934).
    """
    if len(weights) != len(counts) or not counts:
        raise ValueError(f"{len(weights)} weights for {len(counts)} strata")
    if not all(0 <= weight < math.inf for weight in weights) or not any(weights):
        raise ValueError(f"weights {tuple(weights)}; expected >= 0, not all 0")
    if not 0 <= least * len(counts) <= total:
        raise ValueError(
            f"{total} experiments for {len(counts)} strata; expected at least {least} "
            "for each"
        )
    ideal = [w * deviation(*pair) for w, pair in zip(weights, counts, strict=True)]
    # Strata below the least get it; the others share what is left.
    fixed: set[int] = set()
    while True:
        free = [i for i in range(len(ideal)) if i not in fixed]
        left = total - least * len(fixed)
        whole = math.fsum(ideal[i] for i in free)
        shares = {i: left * ideal[i] / whole if whole else 0.0 for i in free}
        below = {i for i in free if shares[i] < least}
        if not below:
            break
        fixed |= below
    result = [least] * len(ideal)
    for i, share in shares.items():
        result[i] = int(share)
    by_remainder = sorted(shares, key=lambda i: int(shares[i]) - shares[i])
    for i in by_remainder[: total - sum(result)]:
        result[i] += 1
    return tuple(result)


def deviation(hits: int, trials: int) -> float:
    """Return the standard deviation of one outcome, estimated from a pilot.

    One hit and one miss are added, so that a stratum without hits is not given up.

    Args:
      hits: trials with the outcome, 0 <= hits <= trials.
      trials: >= 0.
    """
    rate = (hits + 1) / (trials + 2)
    return math.sqrt(rate * (1 - rate))
