# SPDX-License-Identifier: Apache-2.0
"""How many experiments a margin needs, and how to divide them among strata."""

import math
from collections.abc import Sequence

from tpufi.statistics.intervals import two_sided_z


def leveugle_size(
    margin: float,
    confidence: float = 0.95,
    rate: float = 0.5,
    population: int | None = None,
) -> int:
    """Return the sample size by the formula of statistical fault injection.

    n = N / (1 + margin**2 (N - 1) / (z**2 rate (1 - rate)))

    Args:
      margin: half the width of the interval, above 0, below 1.
      confidence: above 0, below 1.
      rate: expected rate; 0.5 needs most and is safe.
      population: N, faults there are; None: infinitely many.

    Returns:
      Experiments, rounded up, at least 1.

    Raises:
      ValueError: an argument is out of range.

    Example:
      >>> leveugle_size(0.01), leveugle_size(0.01, population=20_000)
      (9604, 6489)

    Source: R. Leveugle et al., Statistical fault injection, DATE 2009.
    """
    z = _check(margin, confidence, rate)
    infinite = z * z * rate * (1 - rate) / (margin * margin)
    if population is None:
        return _up(infinite)
    if population < 1:
        raise ValueError(f"population {population}; expected at least 1")
    return min(population, _up(population / (1 + (population - 1) / infinite)))


def wilson_size(margin: float, confidence: float = 0.95, rate: float = 0.5) -> int:
    """Return the trials at which Wilson's interval has half the width `margin`.

    The count of hits is the expected one, `rate` times the trials.

    Args:
      margin: above 0, below 1.
      confidence: above 0, below 1.
      rate: expected rate, 0 to 1. A small one needs fewer trials than 0.5, but its
        interval is wider than Leveugle's formula says.

    Returns:
      Trials, rounded up, at least 1.

    Raises:
      ValueError: an argument is out of range.
    """
    z = _check(margin, confidence, rate, ends=True)
    # margin (n + z**2) = z sqrt(rate (1 - rate) n + z**2 / 4), solved for n.
    h, s = margin * margin, z * z
    linear, constant = s * (2 * h - rate * (1 - rate)), s * s * (h - 0.25)
    discriminant = max(0.0, linear * linear - 4 * h * constant)
    return _up((-linear + math.sqrt(discriminant)) / (2 * h))


def _check(margin: float, confidence: float, rate: float, ends: bool = False) -> float:
    if not 0 < margin < 1:
        raise ValueError(f"margin {margin}; expected above 0 and below 1")
    if not (0 < rate < 1 or (ends and 0 <= rate <= 1)):
        bound = "from 0 to 1" if ends else "above 0 and below 1"
        raise ValueError(f"rate {rate}; expected {bound}")
    return two_sided_z(confidence)


def _up(size: float) -> int:
    """Round up, but not for the last digits of a float."""
    return max(1, math.ceil(size * (1 - 1e-12)))


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
