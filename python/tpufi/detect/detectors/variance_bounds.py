# SPDX-License-Identifier: Apache-2.0
"""Bounds of moving variances that follow from the weights."""

import dataclasses
from typing import Any, ClassVar

import tensorflow as tf

from tpufi.detect.detector import Detector, largest
from tpufi.detect.signals import STATISTICS, WEIGHTS, Network, Signals


@dataclasses.dataclass(frozen=True)
class VarianceBounds(Detector):
    """Compares the moving variances of normalisations with their bounds.

    A batch's variance is at most the square of the largest input, and that follows
    from the weights (`tpufi.detect.value_bounds`); the moving variance is a mean of
    those and of the 1 it begins with. The score is the largest share of a bound.

    Args:
      threshold: largest share without an alarm.

    Source: the principle of He et al., ISCA 2023; the bound is derived.
    """

    threshold: float = 1.0

    reads: ClassVar = (WEIGHTS, STATISTICS)
    price: ClassVar = "sums of absolute weights: one pass over the weights"

    def score(
        self, signals: Signals, memory: Any, network: Network
    ) -> tuple[tf.Tensor, Any]:
        bounds = {}
        if network.variance_bounds is not None:
            before = signals.weights.before
            bounds = network.variance_bounds(before, signals.largest_input)
        shares = [tf.constant(0.0)]
        for name, bound in bounds.items():
            found = largest(signals.statistics.after[name])
            share = found / tf.maximum(bound, 1.0)
            # A bound that is not finite bounds nothing but Inf and NaN.
            shares.append(tf.where(tf.math.is_nan(share), found, share))
        return tf.reduce_max(tf.stack(shares)), memory
