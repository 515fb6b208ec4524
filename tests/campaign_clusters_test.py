# SPDX-License-Identifier: Apache-2.0
"""Clustered rates against statsmodels' cluster-robust regression, and coverage."""

import math

import numpy as np
import pytest
import statsmodels.api as sm

from tpufi.statistics.clusters import clustered_rate, student_t
from tpufi.statistics.intervals import wilson


def drawn(seed, clusters, size, rate=0.2, spread=0.15):
    """Hits and trials of clusters whose own rates differ."""
    rng = np.random.default_rng(seed)
    a = rate * (rate * (1 - rate) / spread**2 - 1)
    rates = rng.beta(a, a * (1 - rate) / rate, clusters)
    sizes = rng.integers(1, size + 1, clusters)
    return [
        (int(rng.binomial(n, p)), int(n)) for n, p in zip(sizes, rates, strict=True)
    ]


@pytest.mark.parametrize("seed", range(3))
def test_the_variance_is_that_of_a_cluster_robust_mean(seed):
    clusters = drawn(seed, 12, 30)
    mine = clustered_rate(clusters)
    y = np.concatenate([[1] * k + [0] * (n - k) for k, n in clusters])
    groups = np.repeat(np.arange(12), [n for _, n in clusters])
    fit = sm.OLS(y, np.ones(len(y))).fit(
        cov_type="cluster", cov_kwds={"groups": groups, "use_correction": False}
    )
    assert mine.rate == pytest.approx(fit.params[0])
    assert mine.variance == pytest.approx(fit.cov_params()[0, 0] * 12 / 11)


def test_quantiles_of_t_are_those_of_the_tables():
    assert student_t(0.95, 10) == pytest.approx(2.228139, abs=1e-6)
    assert student_t(0.99, 1) == pytest.approx(63.656741, abs=1e-6)
    assert student_t(0.95, 10**7) == pytest.approx(1.959964, abs=1e-6)


def test_clusters_of_equal_outcomes_count_as_one_trial_each():
    # 100 clusters of 50 equal outcomes: 30 hits of 100, not 1500 of 5000.
    mine = clustered_rate([(50, 50)] * 30 + [(0, 50)] * 70)
    assert mine.design_effect == pytest.approx(50 * 100 / 99)
    assert mine.interval == pytest.approx(wilson(30, 100), abs=0.002)


def test_independent_trials_lose_next_to_nothing():
    rng = np.random.default_rng(1)
    clusters = [(int(rng.binomial(20, 0.3)), 20) for _ in range(2000)]
    mine, hits = clustered_rate(clusters), sum(k for k, _ in clusters)
    assert 1 <= mine.design_effect < 1.1
    assert mine.interval == pytest.approx(wilson(hits, 40_000), abs=3e-4)


def test_an_interval_is_never_narrower_than_that_of_independent_trials():
    even = [(3, 10)] * 40
    assert clustered_rate(even).design_effect == 1
    assert clustered_rate(even).interval.width >= wilson(120, 400).width


@pytest.mark.parametrize("hits", [0, 10])
def test_equal_outcomes_everywhere_leave_one_trial_a_cluster(hits):
    mine = clustered_rate([(hits, 10)] * 25)
    assert math.isnan(mine.design_effect)
    assert mine.interval == wilson(hits * 2.5, 25)


def test_one_cluster_says_nothing_of_others():
    mine = clustered_rate([(3, 10), (0, 0)])
    assert mine.interval == (0, 1) and math.isnan(mine.variance)
    assert mine.rate == 0.3


def test_intervals_of_clustered_rates_cover_where_those_of_independent_trials_fail():
    covered = {"clustered": 0, "independent": 0}
    for seed in range(400):
        clusters = drawn(seed, 30, 60)
        hits, trials = (sum(column) for column in zip(*clusters, strict=True))
        low, high = clustered_rate(clusters).interval
        covered["clustered"] += low <= 0.2 <= high
        low, high = wilson(hits, trials)
        covered["independent"] += low <= 0.2 <= high
    assert covered["clustered"] >= 0.92 * 400
    assert covered["independent"] < 0.75 * 400


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([],), "no trial"),
        (([(0, 0)],), "no trial"),
        (([(2, 1)],), "2 hits in 1 trials"),
        (([(1, 2)], 0), "confidence 0"),
    ],
)
def test_counts_out_of_range_are_told(arguments, message):
    with pytest.raises(ValueError, match=message):
        clustered_rate(*arguments)


def test_t_needs_a_degree_of_freedom():
    with pytest.raises(ValueError, match="0 degrees of freedom"):
        student_t(0.95, 0)
