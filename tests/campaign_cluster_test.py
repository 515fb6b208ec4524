# SPDX-License-Identifier: Apache-2.0
"""The simulated cluster loses nothing and agrees with what can be worked out."""

import math

import pytest

from tpufi.campaign.cluster_model import Cluster, Load, simulate

EVEN = {"spread": 0.0, "walk": 0.0, "slow_share": 0.0, "row": 0.0, "hand": 0.0}


def test_equal_experiments_on_equal_workers_take_what_they_must():
    cluster = Cluster(workers=10, experiment=2.0, start=30.0, **EVEN)
    found = simulate(cluster, Load(1000, 1000, 5, 100))
    assert found.seconds == pytest.approx(30 + 1000 * 2.0 / 10)
    assert (found.rows, found.lost_workers, found.done_twice) == (1000, 0, 0)
    assert found.efficiency == pytest.approx(200 / 230)


@pytest.mark.parametrize("seed", range(3))
def test_stragglers_and_losses_lose_no_experiment(seed):
    cluster = Cluster(workers=50, experiment=5.0, lost_after=300.0, slow_share=0.1)
    found = simulate(cluster, Load(4000, 2000, 8, 300), seed)
    assert found.rows + found.given_up == 4000
    assert found.lost_workers > 10 and found.done_twice > 10
    # All work once, at the speed of all workers, is the least it can take.
    assert found.seconds > 4000 * 5.0 / 50
    assert 0.0 < found.efficiency < 1.0


def test_one_coordinator_is_what_limits_very_short_experiments():
    slow = {**EVEN, "hand": 1e-3}
    cluster = Cluster(workers=1000, experiment=0.01, start=0.0, **slow)
    found = simulate(cluster, Load(20_000, 20_000, 1, 1))
    assert found.seconds == pytest.approx(20_000 * 1e-3, rel=0.02)
    assert found.coordinator == pytest.approx(1.0, rel=0.02)
    assert math.isclose(found.efficiency, 20_000 * 0.01 / (1000 * found.seconds))
