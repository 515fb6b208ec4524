# SPDX-License-Identifier: Apache-2.0
"""Confidence intervals of a rate, Wilson's and the exact one, and of a sum of rates."""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from scipy.special import betainccinv, betaincinv


class Interval(NamedTuple):
    """Both ends of a confidence interval."""

    low: float
    high: float

    @property
    def width(self) -> float:
        """Distance of the ends."""
        return self.high - self.low


def wilson(hits: float, trials: float, confidence: float = 0.95) -> Interval:
    """Return Wilson's score interval of a rate.

    It holds what it promises on average even for few hits, where the normal
    approximation shrinks to nothing.

    Args:
      hits: trials with the outcome; 0 <= hits <= trials. An effective number of trials
        need not be whole.
      trials: >= 0; without any the interval is 0 to 1.
      confidence: above 0, below 1.

    Raises:
      ValueError: an argument is out of range.

    Example:
      >>> low, high = wilson(5, 1000)
      >>> f"{low:.2%} to {high:.2%}"
      '0.21% to 1.17%'

    Source: E. B. Wilson, JASA 22 (1927); recommended by Brown, Cai, DasGupta (2001).
    """
    z = two_sided_z(confidence)
    check_counts(hits, trials)
    if trials == 0:
        return Interval(0.0, 1.0)
    rate, share = hits / trials, z * z / trials
    centre = (rate + share / 2) / (1 + share)
    variance = rate * (1 - rate) / trials + share / (4 * trials)
    half = z * math.sqrt(variance) / (1 + share)
    # At the ends both terms are equal; rounding must not leave a trace of that.
    low = 0.0 if hits == 0 else max(0.0, centre - half)
    high = 1.0 if hits == trials else min(1.0, centre + half)
    return Interval(low, high)


def clopper_pearson(hits: int, trials: int, confidence: float = 0.95) -> Interval:
    """Return the exact interval of a rate, which covers at least as often as it says.

    Args:
      hits: whole number, 0 <= hits <= trials.
      trials: whole number; 0 gives 0 to 1.
      confidence: above 0, below 1.

    Raises:
      ValueError: an argument is out of range.

    Source: C. J. Clopper, E. S. Pearson, Biometrika 26 (1934).
    """
    check_confidence(confidence)
    check_counts(hits, trials)
    if hits != int(hits) or trials != int(trials):
        raise ValueError(f"{hits} of {trials}; the exact interval needs whole numbers")
    outside = (1 - confidence) / 2
    # Not scipy's binomtest: it solves for the ends to an absolute error of 2e-12.
    low = betaincinv(hits, trials - hits + 1, outside) if hits > 0 else 0.0
    high = betainccinv(hits + 1, trials - hits, outside) if hits < trials else 1.0
    return Interval(float(low), float(high))


def two_sided_z(confidence: float) -> float:
    """Return how many standard deviations a two-sided interval reaches."""
    check_confidence(confidence)
    # The lower tail keeps the digits of a confidence close to 1.
    return -statistics.NormalDist().inv_cdf((1 - confidence) / 2)


def check_confidence(confidence: float) -> None:
    """Raise ValueError unless the confidence is between 0 and 1."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence}; expected above 0 and below 1")


def check_counts(hits: float, trials: float) -> None:
    """Raise ValueError unless 0 <= hits <= trials."""
    if not 0 <= hits <= trials < math.inf:
        raise ValueError(
            f"{hits} hits in {trials} trials; expected 0 <= hits <= trials"
        )


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
