# SPDX-License-Identifier: Apache-2.0
"""Interleaved timing: every variant once a round, so that all see the same noise."""

import dataclasses
import math
import statistics
import time
from collections.abc import Callable, Mapping


@dataclasses.dataclass(frozen=True)
class Spread:
    """A median, its interval of 95 % confidence, and the quartiles.

    Args:
      median: middle value.
      low: first quartile.
      high: third quartile.
      least: lower end of the median's interval.
      most: upper end of it.
    """

    median: float
    low: float
    high: float
    least: float
    most: float

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        """Return the spread of at least two values."""
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        # Order statistics: how many of n values are below the median is binomial.
        ordered, half = sorted(values), 0.98 * math.sqrt(len(values))
        first = max(math.floor((len(values) - 1) / 2 - half), 0)
        return cls(median, low, high, ordered[first], ordered[-1 - first])

    def __str__(self) -> str:
        return f"{self.median:.4g} ({self.least:.4g} to {self.most:.4g})"


def interleaved(
    variants: Mapping[str, Callable[[], object]], rounds: int
) -> dict[str, list[float]]:
    """Return seconds by variant and round; the order alternates from round to round.

    Args:
      variants: what to run, by name; each has run before.
      rounds: how often, >= 2.
    """
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(rounds):
        names = list(variants)
        for name in names if number % 2 == 0 else reversed(names):
            begun = time.perf_counter()
            variants[name]()
            seconds[name].append(time.perf_counter() - begun)
    return seconds


def ratios(of: list[float], against: list[float]) -> Spread:
    """Return the spread of the ratios of paired times."""
    return Spread.of([a / b for a, b in zip(of, against, strict=True)])


def differences(of: list[float], against: list[float]) -> Spread:
    """Return the spread of the differences of paired times, in seconds."""
    return Spread.of([a - b for a, b in zip(of, against, strict=True)])


def against(seconds: Mapping[str, list[float]], base: str) -> dict[str, dict]:
    """Return seconds, ratio to `base` and seconds more than it, by variant.

    Args:
      seconds: by variant and round, as `interleaved` gives them.
      base: one of the variants.
    """
    return {
        name: {
            "seconds": vars(Spread.of(times)),
            f"ratio_to_{base}": vars(ratios(times, seconds[base])),
            "extra_seconds": vars(differences(times, seconds[base])),
        }
        for name, times in seconds.items()
    }
