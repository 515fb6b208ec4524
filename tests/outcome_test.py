# SPDX-License-Identifier: Apache-2.0
"""Outcome classes, on curves made for the purpose."""

import dataclasses
import math

import numpy as np
import pytest

from tpufi.outcomes import outcome
from tpufi.outcomes.outcome import Point, Validation, band, classify
from tpufi.outcomes.outcome_thresholds import Thresholds

LIMITS = Thresholds(
    immediate=1,
    sharp=0.5,
    further=0.75,
    late=0.5,
    excess=0.10,
    widths=3.0,
    test_drop=0.10,
)
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
    assert classify(faulty, GOLDEN, LIMITS) == expected


def test_a_run_that_was_identical_in_between_only_is_not_proven_masked():
    faulty = (*GOLDEN[:9], Point(0.91, 0.6, "other"))
    assert classify(faulty, GOLDEN, LIMITS) == outcome.MASKED


def test_a_validation_loss_that_is_not_finite_counts():
    early = classify(GOLDEN[:2], GOLDEN, LIMITS, ended_early=True)
    late = classify(GOLDEN[:3], GOLDEN, LIMITS, ended_early=True)
    assert (early, late) == (outcome.IMMEDIATE, outcome.SHORT_TERM)


def test_without_a_golden_step_there_is_no_class():
    with pytest.raises(ValueError, match="no step at or after the injection"):
        classify(run([1.0]), (), LIMITS)


def shifted(by: float) -> tuple[Point, ...]:
    """A golden run whose loss is above or below by turns, so its mean stays."""
    return tuple(
        Point(p.loss + by * (-1) ** i, p.accuracy, f"other {i}")
        for i, p in enumerate(GOLDEN)
    )


@pytest.mark.parametrize(
    ("width", "expected"),
    [(0.01, outcome.SLOW_DEGRADE), (0.20, outcome.MASKED)],
)
def test_a_loss_within_a_wide_band_of_golden_runs_is_masked(width, expected):
    # 15 % above golden's loss of about 0.93 is 0.14. Two runs that are 2 w apart have a
    # standard deviation of 1.41 w: three of them are 0.04 or 0.85.
    faulty = run([loss * 1.15 for loss in LOSSES])
    others = (shifted(width), shifted(-width))
    assert classify(faulty, GOLDEN, LIMITS, others=others) == expected


def test_the_band_is_the_mean_and_the_pooled_standard_deviation():
    runs = np.random.default_rng(1).normal(size=(3, 7))
    found = band(runs.tolist())
    np.testing.assert_allclose(found.centre, runs.mean(0), rtol=1e-12)
    pooled = np.sqrt(runs.var(0, ddof=1).mean())
    np.testing.assert_allclose(found.spread, pooled, rtol=1e-12)


def test_the_band_of_one_run_has_no_width():
    assert band([[3.0, 2.0]]) == outcome.Band((3.0, 2.0), 0.0)


def accuracies(*values: float) -> tuple[Point, ...]:
    return tuple(Point(9.0, value, f"faulty {i}") for i, value in enumerate(values))


@pytest.mark.parametrize(
    ("faulty", "expected"),
    [
        # Half of golden's 0.6 is the bound; it counts in steps 0 and 1 only.
        (accuracies(0.6, 0.29, 0.29, 0.29), outcome.SHARP_DEGRADE),
        (accuracies(0.6, 0.31, 0.31, 0.31), outcome.SLOW_DEGRADE),
        (accuracies(0.6, 0.45, 0.30, 0.10), outcome.SLOW_DEGRADE),
        (accuracies(0.2, 0.25, 0.22, 0.30), outcome.SHARP_DEGRADE),
        (accuracies(0.6, 0.28, 0.20, 0.10), outcome.SHARP_SLOW_DEGRADE),
        (accuracies(0.6, 0.28, 0.22, 0.22), outcome.SHARP_DEGRADE),
        (accuracies(0.1, 0.1), outcome.SHARP_DEGRADE),
    ],
)
def test_a_fall_of_the_accuracy_is_sharp_slow_or_both(faulty, expected):
    assert classify(faulty, GOLDEN, LIMITS) == expected


@pytest.mark.parametrize(
    ("validation", "expected"),
    [
        (Validation(0.45, (0.60,)), outcome.LOW_TEST_ACCURACY),
        (Validation(0.55, (0.60,)), outcome.MASKED),
        (Validation(0.45, (0.60, 0.50, 0.70)), outcome.MASKED),
        (Validation(0.25, (0.60, 0.50, 0.70)), outcome.LOW_TEST_ACCURACY),
        (Validation(0.90, (0.60,)), outcome.MASKED),
    ],
)
def test_a_low_test_accuracy_counts_if_the_training_is_fine(validation, expected):
    found = classify(run(LOSSES), GOLDEN, LIMITS, validation=validation)
    assert found == expected


def test_a_degraded_training_goes_before_a_low_test_accuracy():
    faulty = run([loss * 1.5 for loss in LOSSES])
    found = classify(faulty, GOLDEN, LIMITS, validation=Validation(0.1, (0.6,)))
    assert found == outcome.SLOW_DEGRADE


def test_the_thresholds_decide():
    faulty = run([loss * 1.15 for loss in LOSSES])
    loose = dataclasses.replace(LIMITS, excess=0.2)
    assert classify(faulty, GOLDEN, loose) == outcome.MASKED
    patient = dataclasses.replace(LIMITS, immediate=3)
    assert classify(run([1.0] * 3 + [math.nan]), GOLDEN, patient) == outcome.IMMEDIATE
