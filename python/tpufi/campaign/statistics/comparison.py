# SPDX-License-Identifier: Apache-2.0
"""Whether two rates differ: z test, Fisher's exact test, interval of the difference."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tpufi.campaign.statistics.incomplete_beta import log_binomial
from tpufi.campaign.statistics.intervals import Interval, check_counts, wilson

# Tables as likely as the observed one count as well; their logarithms are rounded.
_TIE = 1e-7
_NEGLIGIBLE = 1e-18


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
    ends = wilson(k1, n1, confidence), wilson(k2, n2, confidence)
    below = math.hypot(rates[0] - ends[0].low, ends[1].high - rates[1])
    above = math.hypot(ends[0].high - rates[0], rates[1] - ends[1].low)
    interval = Interval(difference - below, difference + above)
    return Comparison(difference, interval, z, math.erfc(abs(z) / math.sqrt(2)))


def fisher(first: tuple[int, int], second: tuple[int, int]) -> float:
    """Return the two-sided p-value of Fisher's exact test.

    It sums the probabilities of all tables with the same margins that are at most as
    likely as the observed one, in about sqrt(trials) steps.

    Args:
      first: hits and trials of one stratum, at least 1 trial.
      second: of the other.

    Raises:
      ValueError: counts are out of range.

    Source: R. A. Fisher, Statistical Methods for Research Workers (1934).
    """
    (k1, n1), (k2, n2) = _checked(first), _checked(second)
    hits = k1 + k2
    low, high = max(0, hits - n2), min(hits, n1)
    if low == high:
        return 1.0

    def log_probability(x: int) -> float:
        # A product of three binomial probabilities, the same for any rate.
        rate = hits / (n1 + n2)
        both = log_binomial(x, n1, rate) + log_binomial(hits - x, n2, rate)
        return both - log_binomial(hits, n1 + n2, rate)

    def next_ratio(x: int) -> float:
        return (n1 - x) * (hits - x) / ((x + 1) * (n2 - hits + x + 1))

    bound = log_probability(k1) + _TIE
    mode = (hits + 1) * (n1 + 1) // (n1 + n2 + 2)
    if log_probability(mode) <= bound:
        return 1.0
    total = 0.0
    x = _last_where(lambda x: log_probability(x) <= bound, low, mode)
    term = 0.0 if x is None else math.exp(log_probability(x))
    while term > _NEGLIGIBLE * total:
        total += term
        x -= 1
        term = term / next_ratio(x) if x >= low else 0.0
    x = _last_where(lambda x: log_probability(x) <= bound, high, mode)
    term = 0.0 if x is None else math.exp(log_probability(x))
    while term > _NEGLIGIBLE * total:
        total += term
        term *= next_ratio(x)  # 0 behind the last table.
        x += 1
    return min(1.0, total)


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


def _last_where(holds: Callable[[int], bool], end: int, mode: int) -> int | None:
    """Return the x nearest to `mode` where what holds at `end` first still holds."""
    if not holds(end):
        return None
    while abs(mode - end) > 1:
        middle = (end + mode) // 2
        end, mode = (middle, mode) if holds(middle) else (end, middle)
    return end
