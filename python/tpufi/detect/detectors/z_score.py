# SPDX-License-Identifier: Apache-2.0
"""How many standard deviations a number is away from its running mean."""

import abc
import dataclasses
from typing import Any, ClassVar

import tensorflow as tf

from tpufi.detect.detector import Detector, norm
from tpufi.detect.signals import GRADIENTS, LOSS, RATE, Network, Signals

_WARMUP = 20  # No score in earlier steps.
_LEAST = 0.1  # Least standard deviation, as a share of the mean.
_JUMP = 2.0  # Factor of the learning rate from which on all begins again.


def scored(value: tf.Tensor, rate: tf.Tensor, memory: Any, decay: float) -> Any:
    """Return the score of a number and what to remember.

    Mean and variance are those of all steps so far, and exponential ones once there
    are more than 1 / (1 - decay). A number that is not finite scores Inf and is
    forgotten.

    Args:
      value: scalar.
      rate: learning rate; if it jumps, all is forgotten.
      memory: what this returned for the step before.
      decay: above 0, below 1.
    """
    value, rate = tf.cast(value, tf.float32), tf.cast(rate, tf.float32)
    before = memory["rate"]
    jumped = (rate > _JUMP * before) | (rate < before / _JUMP)
    steps = tf.where(jumped, 0.0, memory["steps"])
    distance = value - memory["mean"]
    least = _LEAST * tf.abs(memory["mean"])
    deviation = tf.maximum(tf.sqrt(memory["variance"]), least)
    score = tf.math.divide_no_nan(tf.abs(distance), deviation)
    score = tf.where(steps >= _WARMUP, score, 0.0)
    finite = tf.math.is_finite(value)
    share = tf.maximum(1 - decay, 1 / (steps + 1))
    variance = (1 - share) * (memory["variance"] + share * tf.square(distance))
    now = {
        "mean": memory["mean"] + share * distance,
        "variance": variance,
        "steps": steps + 1,
        "rate": rate,
    }
    kept = {name: tf.where(finite, now[name], memory[name]) for name in now}
    return tf.where(finite, score, float("inf")), kept


def _nothing() -> Any:
    names = ("mean", "variance", "steps", "rate")
    return {name: tf.zeros([]) for name in names}


class ZScore(Detector):
    """Scores a number of each step by its distance from the running mean.

    Attributes:
      decay: of the running mean, above 0, below 1.
    """

    decay: float

    @abc.abstractmethod
    def value(self, signals: Signals) -> tf.Tensor:
        """Return the number of a step, a scalar."""

    def memory(self, network: Network) -> Any:
        return _nothing()

    def score(
        self, signals: Signals, memory: Any, network: Network
    ) -> tuple[tf.Tensor, Any]:
        return scored(self.value(signals), signals.rate, memory, self.decay)


@dataclasses.dataclass(frozen=True)
class LossZScore(ZScore):
    """Scores the loss by its distance from the running mean, in deviations.

    The deviation is at least a tenth of the mean; the first 20 steps score 0, and so do
    20 steps after the learning rate has changed by more than a factor of 2.

    Args:
      threshold: largest distance without an alarm.
      decay: of the running mean, above 0, below 1.
    """

    threshold: float = 12.0
    decay: float = 0.99

    reads: ClassVar = (LOSS, RATE)
    price: ClassVar = "nothing"

    def value(self, signals: Signals) -> tf.Tensor:
        return signals.loss


@dataclasses.dataclass(frozen=True)
class GradientNormZScore(ZScore):
    """Scores the norm of all gradients as `LossZScore` does the loss.

    Args:
      threshold: largest distance without an alarm.
      decay: of the running mean, above 0, below 1.
    """

    threshold: float = 20.0
    decay: float = 0.99

    reads: ClassVar = (GRADIENTS, RATE)
    price: ClassVar = "one pass over the gradients"

    def value(self, signals: Signals) -> tf.Tensor:
        return norm(signals.gradients)
