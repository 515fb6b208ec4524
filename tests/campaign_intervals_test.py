# SPDX-License-Identifier: Apache-2.0
"""Intervals of one rate against statsmodels and scipy, up to millions of trials."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from tpufi.statistics.intervals import clopper_pearson, wilson

TRIALS = (1, 2, 7, 100, 1000, 100_000, 2_900_000)
SHARES = (0, 1e-6, 0.001, 0.05, 0.5, 0.9, 0.9999, 1)
CASES = sorted({(round(share * n), n) for n in TRIALS for share in SHARES})
CONFIDENCES = (0.5, 0.9, 0.95, 0.99, 0.999999)
METHODS = (wilson, clopper_pearson)

counts = st.integers(1, 10**7).flatmap(
    lambda n: st.tuples(st.integers(0, n), st.just(n))
)


@pytest.mark.parametrize("confidence", CONFIDENCES)
def test_wilsons_interval_agrees_with_statsmodels(confidence):
    for hits, trials in CASES:
        mine = wilson(hits, trials, confidence)
        theirs = proportion_confint(hits, trials, 1 - confidence, "wilson")
        assert mine == pytest.approx(theirs, rel=1e-9, abs=1e-15), (hits, trials)


def test_the_exact_interval_has_the_published_ends():
    # Clopper and Pearson's rule of three, and their chart for 10 trials.
    low, high = clopper_pearson(0, 10**7)
    assert (low, high) == (0, pytest.approx(1 - 0.025**1e-7, rel=1e-8))
    assert clopper_pearson(10**7, 10**7) == (pytest.approx(1 - high, rel=1e-15), 1)
    assert clopper_pearson(3, 10) == pytest.approx((0.06674, 0.65245), abs=5e-6)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.__name__)
@settings(deadline=None)
@given(counts, st.floats(0.01, 0.999))
def test_intervals_hold_the_rate_mirror_and_grow_with_confidence(
    method, count, confidence
):
    hits, trials = count
    low, high = method(hits, trials, confidence)
    assert 0 <= low <= hits / trials <= high <= 1
    assert (low == 0) >= (hits == 0) and (high == 1) >= (hits == trials)
    mirrored = method(trials - hits, trials, confidence)
    assert mirrored == pytest.approx((1 - high, 1 - low), rel=1e-9, abs=1e-12)
    assert method(hits, trials, (1 + confidence) / 2).width >= high - low


@settings(deadline=None)
@given(counts, st.floats(0.01, 0.999))
def test_the_ends_of_the_exact_interval_leave_the_tails_they_promise(count, confidence):
    hits, trials = count
    low, high = clopper_pearson(hits, trials, confidence)
    outside = (1 - confidence) / 2
    if hits:
        tail = stats.binom.sf(hits - 1, trials, low)
        assert tail == pytest.approx(outside, rel=1e-6)
    if hits < trials:
        assert stats.binom.cdf(hits, trials, high) == pytest.approx(outside, rel=1e-6)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.__name__)
def test_without_trials_any_rate_is_possible(method):
    assert method(0, 0) == (0, 1)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.__name__)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1, 3), "-1 hits in 3 trials"),
        ((4, 3), "4 hits in 3 trials"),
        ((math.nan, 3), "nan hits"),
        ((1, math.inf), "in inf trials"),
        ((1, 3, 0), "confidence 0; expected above 0"),
        ((1, 3, 1), "confidence 1; expected above 0"),
        ((1, 3, math.nan), "confidence nan"),
    ],
)
def test_numbers_out_of_range_are_told(method, arguments, message):
    with pytest.raises(ValueError, match=message):
        method(*arguments)


def test_the_exact_interval_refuses_an_effective_number():
    with pytest.raises(ValueError, match="needs whole numbers"):
        clopper_pearson(1, 3.5)
