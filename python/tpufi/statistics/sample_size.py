# SPDX-License-Identifier: Apache-2.0
"""How many experiments a wanted margin of error needs."""

import math

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
