# SPDX-License-Identifier: Apache-2.0
"""The page that tests TrainSDC's claim: its measures, on made-up experiments."""

import math

import numpy as np
import pytest
from tools import trainsdc
from tools.trainsdc import Case, cramers_v, page

from tpufi.models import workload
from tpufi.outcomes.outcome import MASKED, SLOW_DEGRADE


def _cases(count: int) -> list[Case]:
    """Return experiments in which only forward faults in queries harm."""
    rng = np.random.default_rng(1)
    layers = ["block0_query", "block1_expand", "head"]
    cases = []
    for number in range(count):
        layer = layers[rng.integers(3)]
        direction = ["forward", "grad_in"][rng.integers(2)]
        harmed = direction == "forward" and "query" in layer
        outcome, deviation = (SLOW_DEGRADE, 0.2) if harmed else (MASKED, 0.0)
        bit = int(rng.integers(32))
        cases.append(Case(number, direction, layer, bit, 1e-3, 5.0, outcome, deviation))
    return cases


def test_every_layer_of_the_decoder_belongs_to_a_part():
    names = {site.layer for site in workload("decoder").sites(8)}
    parts = {Case(0, "forward", n, 0, 0.0, 0.0, MASKED, 0.0).part for n in names}
    assert parts == set(trainsdc.PARTS)


def test_a_factor_that_decides_has_v_1_and_one_that_does_not_has_a_large_p():
    rng = np.random.default_rng(2)
    harmed = rng.random(300) < 0.3
    v, p = cramers_v(["a" if h else "b" for h in harmed], harmed)
    assert v == pytest.approx(1.0) and p < 0.001
    _, p = cramers_v(rng.choice(["a", "b", "c"], 300), harmed)
    assert p > 0.05
    assert all(map(math.isnan, cramers_v(["a", "b"], [False, False])))


def test_the_page_tells_what_the_experiments_show():
    text = "\n".join(page(_cases(400)))
    forward, backward = text.split("- Forward:")[1].split("- Backward:")
    assert "queries and keys harm more than the rest" in forward
    assert "do not differ from the rest" in backward.split("##")[0]


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (0.0, "zero"),
        (2.0**-31, "below 2^-30"),
        (2.0**-30, "below 2^-20"),
        (-0.75, "below 2^0"),
        (1.0, "below 2^10"),
        (1024.0, "2^10 or more"),
        (math.nan, "not finite"),
    ],
)
def test_an_exponent_has_one_class(value, name):
    case = Case(0, "forward", "head", 0, value, value, MASKED, 0.0)
    assert case.exponent == case.faulty_exponent == name
