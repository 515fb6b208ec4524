# SPDX-License-Identifier: Apache-2.0
"""Jumps of the update that come with a jump of the gradient."""

import dataclasses
from typing import Any, ClassVar

import tensorflow as tf

from tpufi.detect.detector import Detector, norm
from tpufi.detect.signals import GRADIENTS, RATE, SLOTS, Network, Signals

_FIRST = 10  # No alarm in earlier steps.
_EPSILON = 1e-8


@dataclasses.dataclass(frozen=True)
class UpdateJump(Detector):
    """Compares the change of the largest update with that of the gradient's norm.

    R is the largest RMS of rate * m / (sqrt(v) + 1e-8) over the weights, without bias
    correction, J = |R - R before|, mu the mean of J over the warm-up, D the rise of the
    gradient's norm. The score is J * alpha * sqrt(D) / mu where D > 0 from step 10 on,
    and Inf if the norm is not finite. Without moments m / (sqrt(v) + 1e-8) is g.

    Args:
      threshold: largest score without an alarm. The published rule has 1, which clean
        steps of a small decoder exceed (1.7 in 1,500 steps).
      alpha: > 0.
      warmup: steps that mu is the mean of, >= 1.

    Source: Altenbernd et al., CCGrid 2026 (arXiv 2604.00726) and their code.
    """

    threshold: float = 5.0
    alpha: float = 0.05
    warmup: int = 1000

    reads: ClassVar = (GRADIENTS, SLOTS, RATE)
    price: ClassVar = "a second pass over gradients and moments"

    def memory(self, network: Network) -> Any:
        return {"root": tf.zeros([]), "norm": tf.zeros([]), "sum": tf.zeros([]),
                "steps": tf.zeros([])}  # fmt: skip

    def score(
        self, signals: Signals, memory: Any, network: Network
    ) -> tuple[tf.Tensor, Any]:
        rate, roots = tf.cast(signals.rate, tf.float32), []
        for name, gradient in signals.gradients.items():
            direction = tf.cast(gradient, tf.float32)
            if {"first_moment", "second_moment"} <= {*network.slots}:
                slots = signals.slots.after
                m = tf.cast(slots[f"{name}/first_moment"], tf.float32)
                v = tf.cast(slots[f"{name}/second_moment"], tf.float32)
                direction = m / (tf.sqrt(v) + _EPSILON)
            roots.append(tf.sqrt(tf.reduce_mean(tf.square(rate * direction))))
        root, now = tf.reduce_max(tf.stack(roots)), norm(signals.gradients)
        steps, before = memory["steps"], memory["norm"]
        jump = tf.abs(root - memory["root"])
        # The first step has none before it, and its jump is not counted.
        counted = (steps > 0) & (steps <= self.warmup) & tf.math.is_finite(jump)
        mean = memory["sum"] / tf.clip_by_value(steps - 1, 1, float(self.warmup))
        rise = tf.maximum(now - before, 0.0)
        score = tf.math.divide_no_nan(jump * self.alpha * tf.sqrt(rise), mean)
        told = (steps >= _FIRST) & (rise > 0) & (before > 0)
        score = tf.where(told, score, 0.0)
        score = tf.where(tf.math.is_finite(now), score, float("inf"))
        return score, {
            "root": root,
            "norm": now,
            "sum": memory["sum"] + tf.where(counted, jump, 0.0),
            "steps": steps + 1,
        }
