# SPDX-License-Identifier: Apache-2.0
"""Numbers that are not finite."""

import dataclasses
from typing import Any, ClassVar

import tensorflow as tf

from tpufi.detect.detector import Detector
from tpufi.detect.signals import LOSS, SLOTS, WEIGHTS, Network, Signals


@dataclasses.dataclass(frozen=True)
class NonFinite(Detector):
    """Counts the tensors that have an element that is Inf or NaN.

    Loss, gradients as far as they can be seen, and the new weights, slots and moving
    averages.

    Args:
      threshold: most such tensors without an alarm.
    """

    threshold: float = 0.0

    reads: ClassVar = (LOSS, WEIGHTS, SLOTS)
    price: ClassVar = "one pass over gradients and new state, fused with the update"

    def score(
        self, signals: Signals, memory: Any, network: Network
    ) -> tuple[tf.Tensor, Any]:
        tensors = [signals.loss, *signals.gradients.values()]
        for change in (signals.weights, signals.slots, signals.statistics):
            tensors += change.after.values()
        wrong = [~tf.reduce_all(tf.math.is_finite(x)) for x in tensors]
        return tf.reduce_sum(tf.cast(tf.stack(wrong), tf.float32)), memory
