# SPDX-License-Identifier: Apache-2.0
"""Whether two rates differ, of independent trials or of pairs: tests and intervals."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from scipy import stats

from tpufi.statistics.intervals import Interval, check_counts, wilson


class Comparison(NamedTuple):
    """Two rates, the first less the second.

    Args:
      difference: of the observed rates.
      interval: Newcombe's interval of the difference.
      z: standardised difference under the hypothesis of equal rates.
      p_value: two-sided, of z.
    """

    difference: float
    interval: Interval
    z: float
    p_value: float


def compare(
    first: tuple[int, int], second: tuple[int, int], confidence: float = 0.95
) -> Comparison:
    """Compare two independent rates by the pooled z test.

    Use `fisher` when a count is small, below about 5.

    Args:
      first: hits and trials of one stratum, at least 1 trial.
      second: of the other.
      confidence: of the interval, above 0, below 1.

    Raises:
      ValueError: counts or confidence are out of range.

    Source: R. G. Newcombe, Statistics in Medicine 17 (1998), method 10.
    """
    (k1, n1), (k2, n2) = _checked(first), _checked(second)
    rates, pooled = (k1 / n1, k2 / n2), (k1 + k2) / (n1 + n2)
    difference = rates[0] - rates[1]
    error = math.sqrt(pooled * (1 - pooled) * (1 / n1 + 1 / n2))
    z = difference / error if error else 0.0
    interval = _newcombe(first, second, confidence)
    return Comparison(difference, interval, z, math.erfc(abs(z) / math.sqrt(2)))


def fisher(first: tuple[int, int], second: tuple[int, int]) -> float:
    """Return the two-sided p-value of Fisher's exact test.

    It sums the probabilities of all tables with the same margins that are at most as
    likely as the observed one.

    Args:
      first: hits and trials of one stratum, at least 1 trial.
      second: of the other.

    Raises:
      ValueError: counts are out of range.

    Source: R. A. Fisher, Statistical Methods for Research Workers (1934).
    """
    (k1, n1), (k2, n2) = _checked(first), _checked(second)
    return float(stats.fisher_exact([[k1, n1 - k1], [k2, n2 - k2]]).pvalue)


def paired_interval(counts: Sequence[Sequence[int]], confidence: float) -> Interval:
    """Return the interval of the difference of two rates of pairs.

    Args:
      counts: pairs, by whether the first failed, then by whether the second did; >= 1
        together.
      confidence: above 0, below 1.

    Source: R. G. Newcombe, Statistics in Medicine 17 (1998) 2635: score intervals of
      both rates, put together with the correlation of the pairs.
    """
    (neither, only_second), (only_first, both) = counts
    total = neither + only_second + only_first + both
    failed = only_first + both, only_second + both
    margins = math.prod(count * (total - count) for count in failed)
    correlation = both * neither - only_first * only_second
    phi = correlation / math.sqrt(margins) if margins else 0.0
    first, second = ((count, total) for count in failed)
    return _newcombe(first, second, confidence, phi)


def sign_test(only_first: int, only_second: int) -> float:
    """Return the two-sided p-value of as unequal numbers, were both as likely.

    Source: Q. McNemar, Psychometrika 12 (1947), in its exact form.
    """
    total = only_first + only_second
    return float(stats.binomtest(only_first, total, 0.5).pvalue) if total else 1.0


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Adjust p-values of several tests, so that one false alarm stays as rare.

    Source: S. Holm, Scandinavian Journal of Statistics 6 (1979).
    """
    adjusted, least = [0.0] * len(p_values), 0.0
    for done, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        least = max(least, min(1.0, p_values[i] * (len(p_values) - done)))
        adjusted[i] = least
    return tuple(adjusted)


def _checked(counts: tuple[int, int]) -> tuple[int, int]:
    check_counts(*counts)
    if counts[1] < 1:
        raise ValueError("0 trials; both strata need at least 1")
    return counts


def _newcombe(
    first: tuple[float, float],
    second: tuple[float, float],
    confidence: float,
    phi: float = 0.0,
) -> Interval:
    """Put the score intervals of two rates with correlation `phi` together."""
    rates = [hits / trials for hits, trials in (first, second)]
    ends = [wilson(*counts, confidence) for counts in (first, second)]

    def apart(x: float, y: float) -> float:
        return math.sqrt(max(0.0, x * x - 2 * phi * x * y + y * y))

    difference = rates[0] - rates[1]
    low = difference - apart(rates[0] - ends[0].low, ends[1].high - rates[1])
    high = difference + apart(ends[0].high - rates[0], rates[1] - ends[1].low)
    return Interval(low, high)
