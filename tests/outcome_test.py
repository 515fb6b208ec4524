# SPDX-License-Identifier: Apache-2.0
"""Outcome classes, on curves made for the purpose."""

import math

import pytest

from tpufi import outcome
from tpufi.outcome import Point, classify

GOLDEN = tuple(Point(1.0 - 0.01 * i, 0.6, f"golden {i}") for i in range(10))


def run(losses, accuracy=0.6):
    return tuple(Point(loss, accuracy, f"faulty {i}") for i, loss in enumerate(losses))


LOSSES = [point.loss for point in GOLDEN]


@pytest.mark.parametrize(
    ("faulty", "expected"),
    [
        (run([math.nan]), outcome.IMMEDIATE),
        (run([1.0, math.inf]), outcome.IMMEDIATE),
        (run([1.0, 1.0, math.nan]), outcome.SHORT_TERM),
        (GOLDEN, outcome.MASKED_IDENTICAL),
        (run(LOSSES), outcome.MASKED),
        (run([loss * 1.05 for loss in LOSSES]), outcome.MASKED),
        (run([loss * 1.15 for loss in LOSSES]), outcome.SLOW_DEGRADE),
        (run([1.0, 1.6, *LOSSES[2:]]), outcome.MASKED),
        (run(LOSSES[:5] + [1.5] * 5), outcome.SLOW_DEGRADE),
        (run(LOSSES, accuracy=0.2), outcome.SHARP_DEGRADE),
    ],
)
def test_a_curve_has_the_class_of_its_rule(faulty, expected):
    assert classify(faulty, GOLDEN) == expected


def test_a_run_that_was_identical_in_between_only_is_not_proven_masked():
    faulty = (*GOLDEN[:9], Point(0.91, 0.6, "other"))
    assert classify(faulty, GOLDEN) == outcome.MASKED


def test_a_validation_loss_that_is_not_finite_counts():
    assert classify(GOLDEN[:2], GOLDEN, ended_early=True) == outcome.IMMEDIATE


def test_without_a_golden_step_there_is_no_class():
    with pytest.raises(ValueError, match="no step at or after the injection"):
        classify(run([1.0]), ())
