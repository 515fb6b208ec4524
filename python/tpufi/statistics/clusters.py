# SPDX-License-Identifier: Apache-2.0
"""A rate whose trials come in clusters: experiments that share checkpoint and batch.

Faults that are injected into the same step of the golden run meet the same weights and
the same images, so their outcomes are alike and say less than independent ones.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from scipy.special import fdtri

from tpufi.statistics.intervals import (
    Interval,
    check_confidence,
    check_counts,
    two_sided_z,
    wilson,
)


class ClusteredRate(NamedTuple):
    """A rate with an interval that respects clusters.

    Args:
      rate: hits by trials.
      variance: of the rate, by the ratio estimator; nan for a single cluster.
      design_effect: that variance by the one of independent trials, at least 1; nan
        where it cannot be estimated.
      trials: effective number of independent trials.
      interval: Wilson's, with that number.
    """

    rate: float
    variance: float
    design_effect: float
    trials: float
    interval: Interval


def clustered_rate(
    clusters: Sequence[tuple[float, float]],
    confidence: float = 0.95,
    effective: float | None = None,
) -> ClusteredRate:
    """Estimate a rate from hits and trials of independent clusters.

    The effective number of trials is divided by the design effect, and by the square of
    Student's t over the normal quantile, for few clusters. An interval is never
    narrower than that of independent trials. Where all trials had the same outcome the
    design effect is unknown, and each cluster counts as one trial; a single cluster
    says nothing about others, so the interval is 0 to 1.

    Args:
      clusters: hits and trials of each cluster; at least one trial in all. Trials may
        be weighted.
      confidence: above 0, below 1.
      effective: number of independent, equally weighted trials that say as much as the
        trials would without clusters; None: their number.

    Raises:
      ValueError: an argument is out of range, or there is no trial.

    Source: W. G. Cochran, Sampling Techniques (1977), 2.11, for the variance; E. L.
    Korn, B. I. Graubard, Survey Methodology 24 (1998), for the interval.
    """
    check_confidence(confidence)
    for hits, trials in clusters:
        check_counts(hits, trials)
    clusters = [(hits, trials) for hits, trials in clusters if trials]
    if not clusters:
        raise ValueError("no trial in any cluster; expected at least one")
    total = sum(trials for _, trials in clusters)
    rate = sum(hits for hits, _ in clusters) / total
    m = len(clusters)
    if m == 1:
        return ClusteredRate(rate, math.nan, math.nan, 1.0, Interval(0.0, 1.0))
    squares = math.fsum((hits - rate * trials) ** 2 for hits, trials in clusters)
    variance = m / (m - 1) * squares / total**2
    if rate in (0, 1):
        interval = wilson(rate * m, m, confidence)
        return ClusteredRate(rate, variance, math.nan, float(m), interval)
    alone = total if effective is None else effective
    effect = max(1.0, variance / (rate * (1 - rate) / alone))
    fewer = two_sided_z(confidence) / student_t(confidence, m - 1)
    trials = alone / effect * fewer**2
    interval = wilson(rate * trials, trials, confidence)
    return ClusteredRate(rate, variance, effect, trials, interval)


def student_t(confidence: float, degrees: int) -> float:
    """Return the two-sided quantile of Student's t.

    Args:
      confidence: above 0, below 1.
      degrees: of freedom, >= 1.
    """
    check_confidence(confidence)
    if degrees < 1:
        raise ValueError(f"{degrees} degrees of freedom; expected at least 1")
    # The square of t is distributed as F; this way a small confidence keeps its digits.
    return math.sqrt(fdtri(1, degrees, confidence))
