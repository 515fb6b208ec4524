# SPDX-License-Identifier: Apache-2.0
"""Sample sizes and Neyman's allocation against their definitions."""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import samplesize_confint_proportion

from tpufi.statistics.intervals import wilson
from tpufi.statistics.sample_size import leveugle_size, neyman, wilson_size

shares = st.floats(0.001, 0.999)


@pytest.mark.parametrize(
    ("margin", "confidence", "rate", "size"),
    [
        (0.05, 0.95, 0.5, 385),
        (0.01, 0.95, 0.05, 1825),
        (0.001, 0.95, 0.5, 960_365),
        (0.01, 0.99, 0.5, 16_588),
        (0.0005, 0.99, 0.01, 262_742),
    ],
)
def test_sizes_for_an_infinite_population_are_those_of_the_normal_approximation(
    margin, confidence, rate, size
):
    theirs = samplesize_confint_proportion(rate, margin, 1 - confidence)
    assert leveugle_size(margin, confidence, rate) == math.ceil(theirs) == size


@settings(deadline=None)
@given(st.floats(0.001, 0.2), shares, shares, st.integers(1, 10**7))
def test_a_finite_population_needs_the_fewest_that_keep_the_margin(
    margin, confidence, rate, population
):
    size = leveugle_size(margin, confidence, rate, population)
    z = stats.norm.ppf((1 + confidence) / 2)

    def half(n: int) -> float:
        if population == 1:
            return 0.0
        shrunk = (population - n) / (population - 1)
        return z * math.sqrt(rate * (1 - rate) / n * shrunk)

    assert 1 <= size <= population
    assert half(size) <= margin * (1 + 1e-9)
    assert size == 1 or half(size - 1) > margin * (1 - 1e-9)
    assert size <= leveugle_size(margin, confidence, rate)


@settings(deadline=None)
@given(st.floats(0.0005, 0.4), shares, st.floats(0, 1))
def test_wilson_sizes_are_the_fewest_trials_of_that_width(margin, confidence, rate):
    size = wilson_size(margin, confidence, rate)

    def half(n: int) -> float:
        # `wilson` cuts at 0 and 1, where the centre moves instead of the width.
        z = stats.norm.ppf((1 + confidence) / 2)
        return z * math.sqrt(rate * (1 - rate) * n + z * z / 4) / (n + z * z)

    assert half(size) <= margin * (1 + 1e-6)
    assert size == 1 or half(size - 1) > margin * (1 - 1e-6)


def test_a_wilson_size_keeps_its_margin_with_whole_counts():
    for margin, rate in itertools.product((0.1, 0.01), (0.01, 0.2, 0.5)):
        size = wilson_size(margin, 0.95, rate)
        assert wilson(round(size * rate), size).width <= 2 * margin * 1.05


@pytest.mark.parametrize("size", [leveugle_size, wilson_size])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0,), "margin 0; expected above 0"),
        ((1,), "margin 1; expected above 0"),
        ((0.1, 1), "confidence 1"),
        ((0.1, 0.9, -0.1), "rate -0.1"),
        ((0.1, 0.9, math.nan), "rate nan"),
    ],
)
def test_numbers_out_of_range_are_told(size, arguments, message):
    with pytest.raises(ValueError, match=message):
        size(*arguments)


def test_a_population_of_nothing_is_told():
    with pytest.raises(ValueError, match="population 0; expected at least 1"):
        leveugle_size(0.1, population=0)


def stratified_variance(parts, weights, counts):
    rates = [(k + 1) / (n + 2) for k, n in counts]
    terms = zip(weights, rates, parts, strict=True)
    return math.fsum(w * w * p * (1 - p) / n for w, p, n in terms)


def test_no_other_allocation_estimates_the_rate_better():
    weights, counts = (0.6, 0.3, 0.1), ((2, 50), (25, 50), (0, 50))
    best = neyman(60, weights, counts)
    others = ((a, b, 60 - a - b) for a in range(1, 59) for b in range(1, 60 - a))
    least = min(stratified_variance(o, weights, counts) for o in others)
    # Rounding to whole experiments costs next to nothing.
    assert stratified_variance(best, weights, counts) <= least * 1.002
    assert sum(best) == 60


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=8),
    st.integers(0, 4),
    st.integers(0, 1000),
)
def test_allocations_add_up_and_keep_the_least(pilots, least, more):
    counts = [(min(pair), max(pair)) for pair in pilots]
    total = least * len(counts) + more
    parts = neyman(total, [1 / len(counts)] * len(counts), counts, least)
    assert sum(parts) == total and min(parts) >= least


def test_a_stratum_of_no_weight_gets_the_least():
    assert neyman(10, [1, 0], [(1, 2), (1, 2)], least=2) == (8, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1, [1, 1], [(0, 1), (0, 1)]), "1 experiments for 2 strata"),
        ((9, [1], [(0, 1), (0, 1)]), "1 weights for 2 strata"),
        ((9, [0, 0], [(0, 1), (0, 1)]), "not all 0"),
        ((9, [1, math.inf], [(0, 1), (0, 1)]), "weights"),
        ((9, [], []), "0 weights for 0 strata"),
    ],
)
def test_an_impossible_allocation_is_told(arguments, message):
    with pytest.raises(ValueError, match=message):
        neyman(*arguments)
