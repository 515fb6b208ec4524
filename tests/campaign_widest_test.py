# SPDX-License-Identifier: Apache-2.0
"""The widest interval, and that a campaign sampled until it is narrow stops in time."""

import random

import pytest

from tpufi.campaign.stop_rule import StopRule
from tpufi.campaign.widest import stratum_sizes, widest_interval
from tpufi.statistics.intervals import clopper_pearson, wilson

TALLY = {("a", "masked"): 90, ("a", "sharp"): 10, ("b", "masked"): 40}


def test_the_smaller_stratum_is_known_worse():
    assert stratum_sizes(TALLY) == {("a",): 100, ("b",): 40}
    only_a = widest_interval(TALLY, [("a",)])
    assert only_a.width == pytest.approx(wilson(10, 100).width)
    # Of equal widths the one that sorts last.
    assert widest_interval({("b", "x"): 2, ("b", "y"): 2}, [("b",)])[1:] == (
        ("b",),
        "y",
    )
    found = widest_interval(TALLY, [("a",), ("b",)], 0.95, clopper_pearson)
    assert found.width == pytest.approx(clopper_pearson(10, 100).width)
    assert found.width > clopper_pearson(40, 40).width


@pytest.mark.parametrize("tally", [{}, TALLY])
def test_a_stratum_without_experiments_is_as_wide_as_can_be(tally):
    assert widest_interval(tally, [("a",), ("c",)]) == (1.0, ("c",), "")


def test_a_campaign_sampled_until_it_is_narrow_stops_and_covers():
    rule, covered, lengths = StopRule(100_000, width=0.1), 0, []
    for seed in range(200):
        rng = random.Random(seed)
        tally = {("m", "masked"): 0, ("m", "sharp"): 0}
        while True:
            for _ in range(50):
                tally["m", "sharp" if rng.random() < 0.2 else "masked"] += 1
            width = widest_interval(tally, [("m",)]).width
            if rule.reached(sum(tally.values()), 0, width):
                break
        low, high = wilson(tally["m", "sharp"], sum(tally.values()))
        covered += low <= 0.2 <= high
        lengths.append(sum(tally.values()))
    # 0.2 +- 0.05 needs 246, fewer where fewer hits were seen.
    assert 240 <= sorted(lengths)[100] <= 300
    assert 150 <= min(lengths) and max(lengths) <= 400
    assert covered >= 0.92 * 200
