# SPDX-License-Identifier: Apache-2.0
"""When a fault first shows in what a training run reports."""

import math
from collections.abc import Sequence

from tpufi.outcomes.outcome import Point, band
from tpufi.outcomes.outcome_thresholds import Thresholds


def detection_step(
    faulty: Sequence[Point],
    golden: Sequence[Point],
    limits: Thresholds,
    others: Sequence[Sequence[Point]] = (),
) -> int | None:
    """Return the steps from the fault to its first visible effect, or None.

    Visible is what anyone who watches loss and accuracy would see: a loss that is not
    finite or above golden's by as much as a degraded training's, or a sharp fall of the
    accuracy (docs/outcomes.md).

    Args:
      faulty: steps from the fault on.
      golden: the golden run's steps from the same one on, at least as many.
      limits: thresholds.
      others: the same steps of golden runs with other seeds.
    """
    runs = (golden, *others)
    losses = band([[p.loss for p in run[: len(faulty)]] for run in runs])
    accuracies = band([[p.accuracy for p in run[: len(faulty)]] for run in runs])
    for number, point in enumerate(faulty):
        usual = losses.centre[number]
        excess = max(limits.excess * usual, limits.widths * losses.spread)
        if not math.isfinite(point.loss) or point.loss - usual > excess:
            return number
        if point.accuracy < limits.sharp * accuracies.centre[number]:
            return number
    return None
