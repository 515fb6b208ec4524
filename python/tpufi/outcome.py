# SPDX-License-Identifier: Apache-2.0
"""Outcome classes of a training run with a fault, against the golden run.

The names are those of the ISCA'23 study; its thresholds are not published, so these are
our own (docs/replay.md).
"""

import dataclasses
import math
from collections.abc import Sequence

MASKED_IDENTICAL = "masked (bit-identical to golden)"
MASKED = "masked"
SLOW_DEGRADE = "slow degrade"
SHARP_DEGRADE = "sharp degrade"
IMMEDIATE = "immediate INF/NaN"
SHORT_TERM = "short-term INF/NaN"


@dataclasses.dataclass(frozen=True)
class Thresholds:
    """When a difference counts.

    Args:
      immediate: steps from the injection within which a non-finite loss is immediate;
        a fault in the backward pass shows one step later.
      excess: mean loss above golden in the second half of the horizon, as a share of
        golden's, that is a degradation.
      collapse: accuracy, as a share of golden's, below which a drop within one step of
        the injection is sharp.
    """

    immediate: int = 1
    excess: float = 0.10
    collapse: float = 0.5


@dataclasses.dataclass(frozen=True)
class Point:
    """One step of a run.

    Args:
      loss: mean training loss.
      accuracy: training accuracy.
      state: digest of the state after the step.
    """

    loss: float
    accuracy: float
    state: str


def classify(
    faulty: Sequence[Point],
    golden: Sequence[Point],
    limits: Thresholds = Thresholds(),
    *,
    ended_early: bool = False,
) -> str:
    """Return the outcome class.

    Args:
      faulty: steps from the injection on; ends at the first non-finite loss.
      golden: the golden run's steps from the same one on; it may be shorter.
      limits: thresholds.
      ended_early: the run ended because a training or validation loss was not finite.
    """
    if ended_early or not math.isfinite(faulty[-1].loss):
        return IMMEDIATE if len(faulty) - 1 <= limits.immediate else SHORT_TERM
    pairs = list(zip(faulty, golden, strict=False))
    if not pairs:
        raise ValueError("the golden run has no step at or after the injection")
    if pairs[-1][0].state == pairs[-1][1].state:
        return MASKED_IDENTICAL
    # The injection's own step shows a forward fault, the next one a backward fault.
    early = pairs[: limits.immediate + 1]
    if any(f.accuracy < limits.collapse * g.accuracy for f, g in early):
        return SHARP_DEGRADE
    late = pairs[len(pairs) // 2 :]
    mean = sum(g.loss for _, g in late) / len(late)
    excess = sum(f.loss - g.loss for f, g in late) / len(late)
    return SLOW_DEGRADE if excess > limits.excess * mean else MASKED
