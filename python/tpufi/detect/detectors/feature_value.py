# SPDX-License-Identifier: Apache-2.0
"""Gradients of normalisations against Markov's bound."""

import dataclasses
from typing import Any, ClassVar

import tensorflow as tf

from tpufi.detect.detector import Detector, norm
from tpufi.detect.signals import GRADIENTS, Network, Signals


@dataclasses.dataclass(frozen=True)
class FeatureValue(Detector):
    """Compares the gradient's norm at each normalisation with its running mean.

    By Markov's inequality a value of c times its mean is as rare as 1 / c. The score is
    the largest ratio over the normalisations, or over all weights if there are none. A
    value that is not finite scores Inf and does not enter the mean.

    Args:
      threshold: c. Ascend warns from 1e4 on and reports an error from 1e6 on.
      decay: of the running mean, above 0, below 1.

    Source: MindSpore's feature value detection (SilentCheck v2); the correction of the
    mean is 1 - decay^step.
    """

    threshold: float = 1e4
    decay: float = 0.99

    reads: ClassVar = (GRADIENTS,)
    price: ClassVar = "one pass over the gradients of the normalisations"

    def memory(self, network: Network) -> Any:
        count = len(self._names(network))
        return {"mean": tf.zeros([count]), "steps": tf.zeros([count])}

    def score(
        self, signals: Signals, memory: Any, network: Network
    ) -> tuple[tf.Tensor, Any]:
        names = self._names(network)
        value = tf.stack([norm({n: signals.gradients[n]}) for n in names])
        mean, steps = memory["mean"], memory["steps"]
        usual = tf.math.divide_no_nan(mean, 1 - self.decay**steps)
        finite = tf.math.is_finite(value)
        ratio = tf.where(finite, tf.math.divide_no_nan(value, usual), float("inf"))
        new = self.decay * mean + (1 - self.decay) * value
        kept = {
            "mean": tf.where(finite, new, mean),
            "steps": steps + tf.cast(finite, tf.float32),
        }
        return tf.reduce_max(ratio), kept

    def _names(self, network: Network) -> tuple[str, ...]:
        return network.gains or network.weights
