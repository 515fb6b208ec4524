# SPDX-License-Identifier: Apache-2.0
"""Weighted rates, FIT rates and detection latencies against their definitions."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tpufi.campaign.fit_rate import fit_rate, hours_to_failure
from tpufi.errors import InputError
from tpufi.faults.flip_flop_shares import CLASSES
from tpufi.statistics.intervals import weighted_rates, wilson
from tpufi.statistics.latency import summarise_latency

NAMES = [group.name for group in CLASSES]


def test_one_stratum_of_weight_1_has_wilsons_interval():
    mine = weighted_rates([1], [(3, 50)])
    assert mine.value == 0.06
    assert mine.interval == pytest.approx(wilson(3, 50))


def test_the_interval_of_a_weighted_sum_covers():
    rng = np.random.default_rng(5)
    weights, rates, trials = (0.7, 0.2, 0.1), (0.01, 0.3, 0.9), (200, 60, 40)
    truth, covered = float(np.dot(weights, rates)), 0
    for _ in range(2000):
        counts = [
            (int(rng.binomial(n, p)), n) for n, p in zip(trials, rates, strict=True)
        ]
        low, high = weighted_rates(weights, counts).interval
        covered += low <= truth <= high
    assert 0.935 <= covered / 2000 <= 0.98


def test_a_stratum_without_trials_can_have_any_rate():
    low, high = weighted_rates([1, 0.5], [(500_000, 1_000_000), (0, 0)]).interval
    assert (low, high) == pytest.approx((0.5, 1.0), abs=0.001)


@pytest.mark.parametrize("weights", [[1], [1, -1], [1, math.nan]])
def test_wrong_weights_are_told(weights):
    with pytest.raises(ValueError, match="weight"):
        weighted_rates(weights, [(1, 2), (1, 2)])


def test_fit_is_the_sum_of_share_activeness_and_failures():
    # Shares and activeness as published; every other experiment fails.
    shares = (0.018, 0.035, 0.117, 0.156, 0.272, 0.041, 0.081)
    active = (0.31, 0.42, 0.27, 0.27, 0.27, 0.27, 0.32)
    mine = fit_rate(600, {name: (50, 100) for name in NAMES})
    assert mine.value == pytest.approx(300 * float(np.dot(shares, active)))
    assert mine.interval.low < mine.value < mine.interval.high
    hours = hours_to_failure(mine)
    assert hours.value == pytest.approx(1e9 / mine.value)
    assert hours.interval.low < hours.value < hours.interval.high


def test_without_failures_fit_is_0_and_has_an_upper_bound():
    mine = fit_rate(600, {name: (0, 1000) for name in NAMES})
    assert mine.value == mine.interval.low == 0 < mine.interval.high < 0.3
    assert hours_to_failure(mine).value == math.inf


@pytest.mark.parametrize(
    ("raw", "change", "message"),
    [
        (0, {}, "raw FIT 0; expected a positive number"),
        (math.inf, {}, "raw FIT inf"),
        (600, {"neuron": (0, 0)}, "no experiment with a fault of class neuron"),
        (600, {"neurons": (1, 2)}, "unknown flip-flop class 'neurons'; known: input,"),
    ],
)
def test_a_fit_rate_that_cannot_be_told_is_one_line(raw, change, message):
    with pytest.raises(InputError, match=message) as error:
        fit_rate(raw, {**{name: (1, 2) for name in NAMES}, **change})
    assert "\n" not in str(error.value)


latencies = st.dictionaries(
    st.none() | st.integers(0, 50), st.integers(0, 30), max_size=12
)


@settings(deadline=None)
@given(latencies, st.floats(0.01, 1))
def test_latency_quantiles_are_those_of_numpy(counts, probability):
    # A float may stand a rounding error above a step of the distribution function.
    probability = round(probability, 3)
    values = [math.inf if s is None else s for s, c in counts.items() for _ in range(c)]
    mine = summarise_latency(counts, (probability,))
    assert mine.experiments == len(values)
    finite = [v for v in values if v < math.inf]
    assert mine.detected == len(finite)
    assert mine.longest == max(finite, default=None)
    if finite:
        assert mine.mean == pytest.approx(np.mean(finite))
    if values:
        rank = max(1, math.ceil(round(probability * len(values), 6)))
        assert mine.quantiles[probability] == sorted(values)[rank - 1]
        assert mine.share == wilson(len(finite), len(values))


def test_a_summary_of_nothing_says_so():
    mine = summarise_latency({})
    assert mine.experiments == 0 and math.isnan(mine.mean) and mine.longest is None
    assert set(mine.quantiles.values()) == {math.inf}


@pytest.mark.parametrize(
    ("counts", "probability", "message"),
    [({-1: 2}, 0.5, "latency -1"), ({1: -2}, 0.5, "-2 exp"), ({}, 0, "probability 0")],
)
def test_latencies_out_of_range_are_told(counts, probability, message):
    with pytest.raises(ValueError, match=message):
        summarise_latency(counts, (probability,))
