# SPDX-License-Identifier: Apache-2.0
"""Pearson's chi-square test with a limit from the Wilson-Hilferty approximation."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

_SIGMAS = 4.0  # One-sided 3e-5: with fixed seeds a failure is a defect, not chance.


def assert_distributed(drawn: Sequence, expected: Mapping) -> None:
    """Compare draws with probabilities; all values that can be drawn are listed."""
    assert set(drawn) <= set(expected), set(drawn) - set(expected)
    total = sum(expected.values())
    statistic, cells = 0.0, 0
    counts = {value: 0 for value in expected}
    for value in drawn:
        counts[value] += 1
    for value, weight in expected.items():
        mean = len(drawn) * float(weight / total)
        assert mean >= 5, f"too few draws to judge {value}: {mean} expected"
        statistic += (counts[value] - mean) ** 2 / mean
        cells += 1
    freedom = cells - 1
    if freedom == 0:
        return
    spread = 2 / (9 * freedom)
    limit = freedom * (1 - spread + _SIGMAS * math.sqrt(spread)) ** 3
    assert statistic < limit, f"chi-square {statistic:.1f}, limit {limit:.1f}"


def excess(counts) -> float:
    """Return the distance from uniform counts, in deviations of the statistic."""
    counts = np.asarray(counts, np.float64).ravel()
    expected = counts.mean()
    freedom = counts.size - 1
    statistic = ((counts - expected) ** 2 / expected).sum()
    return (statistic - freedom) / (2 * freedom) ** 0.5
