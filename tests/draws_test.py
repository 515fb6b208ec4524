# SPDX-License-Identifier: Apache-2.0
"""The random choices of an experiment: pure, unbiased, independent of each other."""

import itertools
import statistics

import pytest

from tests.chi_square import assert_distributed
from tpufi import random
from tpufi.faults.draws import Draws


def test_draws_are_a_function_of_seed_number_and_name():
    first = Draws(1, 2).integers(10**6, 50, "a")
    assert Draws(1, 2).integers(10**6, 50, "a") == first
    assert Draws(1, 2).integers(10**6, 20, "a") == first[:20]
    for other in (Draws(2, 2), Draws(1, 3)):
        assert other.integers(10**6, 50, "a") != first
    assert Draws(1, 2).integers(10**6, 50, "b") != first


def test_one_choice_does_not_move_another():
    alone = Draws(3, 4).below(1 << 40, "b")
    draws = Draws(3, 4)
    draws.below(1 << 40, "a")
    draws.normals(7, "c")
    assert draws.below(1 << 40, "b") == alone


@pytest.mark.parametrize("bound", [1, 2, 3, 7, 10, 64])
def test_integers_are_uniform(bound):
    drawn = [Draws(5, i).below(bound, "x") for i in range(200 * bound)]
    assert_distributed(drawn, dict.fromkeys(range(bound), 1))
    many = Draws(6, 0).integers(bound, 200 * bound, "x")
    assert_distributed(many, dict.fromkeys(range(bound), 1))


def test_words_that_would_favour_small_remainders_are_passed_over():
    # Of 2**64 words this bound can use 2**63 + 1: about half are rejected.
    bound = (1 << 63) + 1
    draws = Draws(7, 0)
    drawn = draws.integers(bound, 500, "x")
    key = random.derive(draws._seed, "x")
    words = random.words(key, 0, 2000).tolist()
    assert drawn == [word for word in words if word < bound][:500]
    assert sum(word >= bound for word in words) > 800


@pytest.mark.parametrize("bound", [0, -1, 1 << 64])
def test_a_bound_out_of_range_is_an_error(bound):
    with pytest.raises(ValueError, match="outside"):
        Draws(1, 1).below(bound, "x")


@pytest.mark.parametrize(("bound", "count"), [(4, 2), (5, 3), (4, 4), (3, 1)])
def test_all_sets_of_different_integers_are_equally_likely(bound, count):
    sets = [frozenset(s) for s in itertools.combinations(range(bound), count)]
    drawn = [frozenset(Draws(8, i).distinct(bound, count, "x")) for i in range(2000)]
    assert {len(s) for s in drawn} == {count}
    assert_distributed(drawn, dict.fromkeys(sets, 1))
    with pytest.raises(ValueError, match="different integers"):
        Draws(8, 0).distinct(bound, bound + 1, "x")


def test_choices_follow_their_weights():
    drawn = [Draws(9, i).choose([3, 3, 4, 10], "x") for i in range(4000)]
    assert_distributed(drawn, {0: 3, 2: 1, 3: 6})  # Weight 0 is never drawn.


def test_noise_is_normal():
    noise = Draws(10, 0).normals(20000, "x")
    assert statistics.mean(noise) == pytest.approx(0, abs=0.03)
    assert statistics.stdev(noise) == pytest.approx(1, abs=0.02)
    normal = statistics.NormalDist()
    tenths = [int(10 * normal.cdf(e)) for e in noise]
    assert_distributed(tenths, dict.fromkeys(range(10), 1))
    assert max(noise) > 3.5 and min(noise) < -3.5


def test_numbers_out_of_range_are_errors():
    for seed, number in ((-1, 0), (0, -1), (1 << 64, 0), (0, 1 << 64)):
        with pytest.raises(ValueError, match="outside"):
            Draws(seed, number)
