# SPDX-License-Identifier: Apache-2.0
"""Outcome classes of a training run with a fault, against golden runs.

The names are those of the ISCA'23 study; its thresholds are not published, so the rules
are our own (docs/outcomes.md).
"""

import dataclasses
import math
import statistics
from collections.abc import Sequence

from tpufi.outcomes.outcome_thresholds import Thresholds

MASKED_IDENTICAL = "masked (bit-identical to golden)"
MASKED = "masked"
LOW_TEST_ACCURACY = "low test accuracy"
SLOW_DEGRADE = "slow degrade"
SHARP_DEGRADE = "sharp degrade"
SHARP_SLOW_DEGRADE = "sharp slow degrade"
SHORT_TERM = "short-term INF/NaN"
IMMEDIATE = "immediate INF/NaN"
# From no effect to the most severe.
CLASSES = (
    MASKED_IDENTICAL,
    MASKED,
    LOW_TEST_ACCURACY,
    SLOW_DEGRADE,
    SHARP_DEGRADE,
    SHARP_SLOW_DEGRADE,
    SHORT_TERM,
    IMMEDIATE,
)


@dataclasses.dataclass(frozen=True)
class Point:
    """One step of a run.

    Args:
      loss: mean training loss.
      accuracy: training accuracy, 0 to 1.
      state: digest of the state after the step.
    """

    loss: float
    accuracy: float
    state: str


@dataclasses.dataclass(frozen=True)
class Validation:
    """Test accuracies after the last step of the horizon.

    Args:
      faulty: of the run with the fault.
      golden: of each golden run.
    """

    faulty: float
    golden: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Band:
    """A quantity of several golden runs, step by step.

    Args:
      centre: mean over the runs, by step.
      spread: standard deviation of a run from it, over all steps; 0 for one run.
    """

    centre: tuple[float, ...]
    spread: float


def band(runs: Sequence[Sequence[float]]) -> Band:
    """Return the band of the steps that all runs have.

    Args:
      runs: values by step, one sequence a run.
    """
    columns = list(zip(*runs, strict=False))
    centre = tuple(math.fsum(column) / len(column) for column in columns)
    if len(runs) == 1:
        return Band(centre, 0.0)
    variances = [statistics.variance(column) for column in columns]
    return Band(centre, math.sqrt(math.fsum(variances) / len(variances)))


def classify(
    faulty: Sequence[Point],
    golden: Sequence[Point],
    limits: Thresholds,
    *,
    others: Sequence[Sequence[Point]] = (),
    validation: Validation | None = None,
    ended_early: bool = False,
) -> str:
    """Return the outcome class.

    Args:
      faulty: steps from the injection on; ends at the first non-finite loss.
      golden: the golden run's steps from the same one on; it may be shorter.
      limits: thresholds.
      others: the same steps of golden runs with other seeds. Without them the band has
        no width and the shares of `limits` decide alone.
      validation: test accuracies after the last step; None: not looked at.
      ended_early: the run ended because a training or validation loss was not finite.

    Example:
      >>> from tpufi import Point, classify, read_thresholds
      >>> golden = [Point(1.0, 0.6, f"golden {i}") for i in range(6)]
      >>> faulty = [Point(1.0 + 0.1 * i, 0.5, f"{i}") for i in range(6)]
      >>> classify(faulty, golden, read_thresholds())
      'slow degrade'
    """
    if ended_early or not math.isfinite(faulty[-1].loss):
        return IMMEDIATE if len(faulty) - 1 <= limits.immediate else SHORT_TERM
    runs = (golden, *others)
    count = min(len(faulty), *map(len, runs))
    if not count:
        raise ValueError("the golden run has no step at or after the injection")
    if faulty[count - 1].state == golden[count - 1].state:
        return MASKED_IDENTICAL
    faulty = faulty[:count]
    if _falls_sharply(faulty, runs, limits):
        goes_on = _goes_on_falling(faulty, limits)
        return SHARP_SLOW_DEGRADE if goes_on else SHARP_DEGRADE
    if _is_degraded(faulty, runs, limits):
        return SLOW_DEGRADE
    if validation is not None and _is_low(validation, limits):
        return LOW_TEST_ACCURACY
    return MASKED


def _falls_sharply(
    faulty: Sequence[Point], runs: Sequence[Sequence[Point]], limits: Thresholds
) -> bool:
    centre = band([[p.accuracy for p in run] for run in runs]).centre
    # The injection's own step shows a forward fault, the next one a backward fault.
    early = list(zip(faulty, centre, strict=False))[: limits.immediate + 1]
    return any(point.accuracy < limits.sharp * usual for point, usual in early)


def _goes_on_falling(faulty: Sequence[Point], limits: Thresholds) -> bool:
    accuracies = [point.accuracy for point in faulty]
    left = min(accuracies[: limits.immediate + 1])
    later = accuracies[limits.immediate + 1 :]
    return bool(later) and min(later) < limits.further * left


def _is_degraded(
    faulty: Sequence[Point], runs: Sequence[Sequence[Point]], limits: Thresholds
) -> bool:
    usual = band([[p.loss for p in run] for run in runs])
    begin = int(len(faulty) * limits.late)
    centre = usual.centre[begin : len(faulty)]
    mean = math.fsum(centre) / len(centre)
    excess = math.fsum(p.loss for p in faulty[begin:]) / len(centre) - mean
    return excess > max(limits.excess * mean, limits.widths * usual.spread)


def _is_low(validation: Validation, limits: Thresholds) -> bool:
    usual = band([[accuracy] for accuracy in validation.golden])
    drop = usual.centre[0] - validation.faulty
    return drop > max(limits.test_drop, limits.widths * usual.spread)
