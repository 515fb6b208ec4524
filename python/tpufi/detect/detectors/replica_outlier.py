# SPDX-License-Identifier: Apache-2.0
"""A replica whose gradients are unlike those of the others."""

import dataclasses
from typing import Any, ClassVar

import tensorflow as tf

from tpufi.detect.detector import Detector
from tpufi.detect.signals import REPLICAS, Network, Signals

_LEAST_REPLICAS = 3
_LEAST = 1e-3  # Of the largest median: weights whose gradients nearly vanish.


@dataclasses.dataclass(frozen=True)
class ReplicaOutlier(Detector):
    """Compares each replica's norm of each gradient with the median of the replicas.

    The score is the largest |norm - median| / median. A median counts as at least a
    thousandth of the largest one. Fewer than 3 replicas score 0: no two make a vote.

    Args:
      threshold: largest score without an alarm.

    Source: AEGIS (OSDI 2026) compares checksums of operators with their 90th percentile
    over replicas; this one compares gradients with the median.
    """

    threshold: float = 1000.0

    reads: ClassVar = (REPLICAS,)
    price: ClassVar = "one pass over each replica's gradients, before their sum"

    def score(
        self, signals: Signals, memory: Any, network: Network
    ) -> tuple[tf.Tensor, Any]:
        if network.replicas < _LEAST_REPLICAS:
            return tf.zeros([]), memory
        norms = signals.replica_norms
        ordered = tf.sort(norms, 0)
        middle = (network.replicas - 1) // 2, network.replicas // 2
        # Halves, so that the sum of two large norms is finite.
        median = ordered[middle[0]] / 2 + ordered[middle[1]] / 2
        usual = tf.maximum(median, _LEAST * tf.reduce_max(median))
        score = tf.math.divide_no_nan(tf.abs(norms - median), usual)
        finite = tf.reduce_all(tf.math.is_finite(norms))
        return tf.where(finite, tf.reduce_max(score), float("inf")), memory
