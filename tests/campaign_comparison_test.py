# SPDX-License-Identifier: Apache-2.0
"""Tests of two rates against statsmodels and known values."""

import random

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep, proportions_ztest

from tpufi.statistics.comparison import (
    compare,
    fisher,
    holm,
    paired_interval,
    sign_test,
)

LARGE = [
    ((0, 1000), (5, 1200)),
    ((3, 1_000_000), (9, 1_900_000)),
    ((14_000, 1_450_000), (14_500, 1_450_000)),
    ((1_449_990, 1_450_000), (1_449_970, 1_450_000)),
    ((700_000, 1_450_000), (20, 50)),
]


def test_fisher_tells_a_lady_tasting_tea_by_chance():
    assert fisher((3, 4), (1, 4)) == pytest.approx(34 / 70)
    assert fisher((4, 4), (0, 4)) == pytest.approx(2 / 70)
    first, second = (14_000, 1_450_000), (14_500, 1_450_000)
    assert fisher(first, second) == pytest.approx(compare(first, second).p_value, 0.02)
    assert fisher((0, 10**7), (10**7, 10**7)) == 0


def test_the_sign_test_is_the_binomial_one():
    assert sign_test(0, 0) == 1
    assert sign_test(1, 0) == 1
    assert sign_test(0, 12) == pytest.approx(2 * 0.5**12)
    assert sign_test(9, 2) == sign_test(2, 9) == pytest.approx(2 * 67 / 2**11)


def test_the_interval_of_pairs_covers_the_difference():
    rng = np.random.default_rng(6)
    truth = np.array([0.70, 0.04, 0.16, 0.10])  # neither, second, first, both
    covered = 0
    for counts in rng.multinomial(80, truth, 3000).tolist():
        low, high = paired_interval((counts[:2], counts[2:]), 0.95)
        covered += low <= 0.12 <= high
    assert 0.935 < covered / 3000 < 0.975
    low, high = paired_interval(((50, 0), (0, 0)), 0.95)
    assert low < 0 < high  # Nothing was seen to differ, which is not nothing.


@pytest.mark.parametrize(
    ("first", "second"),
    [*LARGE, ((3, 10), (7, 10)), ((0, 10), (9, 9)), ((5, 10), (1, 2))],
)
@pytest.mark.parametrize("confidence", [0.9, 0.99])
def test_the_z_test_and_its_interval_agree_with_statsmodels(first, second, confidence):
    mine = compare(first, second, confidence)
    (k1, n1), (k2, n2) = first, second
    z, p_value = proportions_ztest([k1, k2], [n1, n2])
    assert mine.z == pytest.approx(z, rel=1e-9, abs=1e-12)
    assert mine.p_value == pytest.approx(p_value, rel=1e-6)
    theirs = confint_proportions_2indep(
        k1, n1, k2, n2, method="newcomb", compare="diff", alpha=1 - confidence
    )
    assert mine.interval == pytest.approx(theirs, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("hits", [0, 1])
def test_equal_certain_rates_do_not_differ(hits):
    first, second = (hits * 50, 50), (hits * 80, 80)
    mine = compare(first, second)
    assert (mine.difference, mine.z, mine.p_value) == (0, 0, 1)
    assert mine.interval.low < 0 < mine.interval.high
    assert fisher(first, second) == 1


@pytest.mark.parametrize("count", [1, 2, 7, 20])
def test_adjusted_p_values_agree_with_statsmodels(count):
    rng = random.Random(count)
    p_values = [rng.random() ** 3 for _ in range(count)] + [0, 1]
    theirs = multipletests(p_values, method="holm")[1]
    assert holm(p_values) == pytest.approx(tuple(theirs), abs=1e-12)


@pytest.mark.parametrize("test", [compare, fisher])
@pytest.mark.parametrize(
    ("first", "message"), [((0, 0), "at least 1"), ((3, 2), "3 hits in 2 trials")]
)
def test_counts_out_of_range_are_told(test, first, message):
    with pytest.raises(ValueError, match=message):
        test(first, (1, 2))
