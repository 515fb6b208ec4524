# SPDX-License-Identifier: Apache-2.0
"""Tests of two rates against scipy and statsmodels."""

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep, proportions_ztest

from tpufi.campaign.statistics.comparison import compare, fisher, holm

SMALL = [(k, n) for n in (1, 4, 9) for k in range(n + 1)]
LARGE = [
    ((0, 1000), (5, 1200)),
    ((3, 1_000_000), (9, 1_900_000)),
    ((14_000, 1_450_000), (14_500, 1_450_000)),
    ((1_449_990, 1_450_000), (1_449_970, 1_450_000)),
    ((700_000, 1_450_000), (20, 50)),
]
counts = st.integers(1, 3000).flatmap(
    lambda n: st.tuples(st.integers(0, n), st.just(n))
)


def table(first, second):
    return [[k, n - k] for k, n in (first, second)]


def test_fisher_agrees_with_scipy_on_all_small_tables():
    for first, second in itertools.product(SMALL, SMALL):
        theirs = stats.fisher_exact(table(first, second)).pvalue
        assert fisher(first, second) == pytest.approx(theirs, rel=1e-9), (first, second)


@pytest.mark.parametrize(("first", "second"), LARGE)
def test_fisher_agrees_with_scipy_on_large_tables(first, second):
    theirs = stats.fisher_exact(table(first, second)).pvalue
    assert fisher(first, second) == pytest.approx(theirs, rel=1e-6)


@settings(deadline=None)
@given(counts, counts)
def test_fisher_agrees_with_scipy_and_with_itself_the_other_way_round(first, second):
    mine = fisher(first, second)
    theirs = stats.fisher_exact(table(first, second)).pvalue
    assert mine == pytest.approx(theirs, rel=1e-6, abs=1e-250)
    assert mine == pytest.approx(fisher(second, first), rel=1e-6, abs=1e-250)


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
