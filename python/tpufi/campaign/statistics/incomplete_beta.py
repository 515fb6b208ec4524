# SPDX-License-Identifier: Apache-2.0
"""The regularised incomplete beta function and its inverse, for millions of trials.

Binomial tails and quantiles of Student's t are values of it. The factor in front is
computed without cancellation, so it holds about 12 digits at any number of trials.

Source: C. Loader, Fast and accurate computation of binomial probabilities (2000), for
the factor; the continued fraction is DLMF 8.17.22, evaluated by Lentz's method.
"""

import math

_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)
_EPSILON = 1e-16
_TINY = 1e-300


def incomplete_beta(a: float, b: float, x: float) -> float:
    """Return I_x(a, b), the probability that a beta(a, b) variable is at most x.

    Args:
      a: > 0.
      b: > 0.
      x: 0 to 1.

    Example:
      >>> round(incomplete_beta(2, 3, 0.5), 12)
      0.6875
    """
    if not (a > 0 and b > 0 and 0 <= x <= 1):
        raise ValueError(f"I_{x}({a}, {b}); expected a > 0, b > 0, 0 <= x <= 1")
    if x in (0, 1):
        return float(x)
    if x > (a + 1) / (a + b + 2):
        return 1 - _tail(b, a, 1 - x, x)
    return _tail(a, b, x, 1 - x)


def inverse_incomplete_beta(a: float, b: float, probability: float) -> float:
    """Return the x at which I_x(a, b) is `probability`, 0 to 1."""
    if not 0 <= probability <= 1:
        raise ValueError(f"probability {probability}; expected 0 to 1")
    if probability in (0, 1):
        return float(probability)
    low, high, x = 0.0, 1.0, a / (a + b)
    while high - low > 4 * _EPSILON * high:
        excess = incomplete_beta(a, b, x) - probability
        low, high = (low, x) if excess > 0 else (x, high)
        # Newton's step where it stays inside the bracket, else the middle.
        slope = _factor(a, b, x, 1 - x) / (x * (1 - x))
        step = x - excess / slope if slope > 0 else math.nan
        before, x = x, step if low < step < high else (low + high) / 2
        if abs(x - before) <= 2 * _EPSILON * x:
            break
    return x


def log_binomial(k: float, n: float, p: float) -> float:
    """Return the logarithm of the binomial probability of k in n, for 0 < p < 1."""
    return _log_binomial(k, n, p, 1 - p)


def _log_binomial(k: float, n: float, p: float, q: float) -> float:
    if k == 0:
        return n * math.log1p(-p)
    if k == n:
        return n * math.log1p(-q)
    correction = _stirling_error(n) - _stirling_error(k) - _stirling_error(n - k)
    deviance = _deviance(k, n * p) + _deviance(n - k, n * q)
    spread = 0.5 * (math.log(k) + math.log1p(-k / n))
    return correction - deviance - spread - _HALF_LOG_TWO_PI


def _tail(a: float, b: float, x: float, y: float) -> float:
    """Return I_x(a, b) for x below about a / (a + b), where the fraction is short."""
    return _factor(a, b, x, y) / a * _continued_fraction(a, b, x)


def _factor(a: float, b: float, x: float, y: float) -> float:
    """Return x**a * y**b / B(a, b)."""
    return math.exp(_log_binomial(a, a + b, x, y)) * a * (b / (a + b))


def _continued_fraction(a: float, b: float, x: float) -> float:
    c, d = 1.0, 1 / _away_from_0(1 - (a + b) * x / (a + 1))
    result, m = d, 0
    while True:
        m += 1
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1 / _away_from_0(1 + even * d)
        c = _away_from_0(1 + even / c)
        result *= d * c
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1 / _away_from_0(1 + odd * d)
        c = _away_from_0(1 + odd / c)
        result *= d * c
        if abs(d * c - 1) < 2 * _EPSILON or m > 1_000_000:
            return result


def _away_from_0(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def _stirling_error(n: float) -> float:
    """Return log(n!) less Stirling's approximation of it."""
    if n <= 15:
        return math.lgamma(n + 1) - (n + 0.5) * math.log(n) + n - _HALF_LOG_TWO_PI
    s = 1 / (n * n)
    return (1 / 12 - s * (1 / 360 - s * (1 / 1260 - s * (1 / 1680 - s / 1188)))) / n


def _deviance(x: float, mean: float) -> float:
    """Return x log(x / mean) + mean - x, without cancellation when they are close."""
    gap = x - mean
    if abs(gap) >= 0.1 * (x + mean):
        return x * math.log(x / mean) - gap
    v = gap / (x + mean)
    result, term, j = gap * v, 2 * x * v, 1
    while True:
        term *= v * v
        before, result = result, result + term / (2 * j + 1)
        if result == before:
            return result
        j += 1
