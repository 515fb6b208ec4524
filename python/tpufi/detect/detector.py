# SPDX-License-Identifier: Apache-2.0
"""What a detector is: a score of each step, and the threshold of an alarm."""

import abc
from typing import Any, ClassVar

import tensorflow as tf

from tpufi.detect.signals import Network, Signals


class Detector(abc.ABC):
    """Looks at signals of each step and scores how suspicious it is.

    Subclasses are frozen dataclasses with a field `threshold`, and are final. An alarm
    is a score that is above the threshold, or NaN. The score is computed within the
    program of the step; what a detector remembers goes in and comes out of it, so that
    a step can be done again.

    Attributes:
      reads: names of the signals it needs, see `tpufi.detect.signals`.
      price: what it costs a step, in words.
      threshold: largest score without an alarm.
    """

    reads: ClassVar[tuple[str, ...]]
    price: ClassVar[str]
    threshold: float

    def memory(self, network: Network) -> Any:
        """Return what it remembers before the first step; here nothing.

        Args:
          network: what it looks at.

        Returns:
          A nest of tensors, whose shapes and types stay.
        """
        del network
        return ()

    def observe(self, layer: object, passed: Any) -> tf.Tensor | None:
        """Return what is wrong with a layer's passes; here nobody looks.

        Only detectors that read the signal `layers` are asked.

        Args:
          layer: of `tpufi.layers`, or the passes of the loss.
          passed: its `tpufi.layers.layer.LayerPass`.

        Returns:
          float32 scalar, >= 0; None: the layer has nothing to look at.
        """
        del layer, passed
        return None

    @abc.abstractmethod
    def score(
        self, signals: Signals, memory: Any, network: Network
    ) -> tuple[tf.Tensor, Any]:
        """Return the score of a step and what to remember of it.

        Args:
          signals: of the step.
          memory: what it returned for the step before.
          network: what it looks at.

        Returns:
          float32 scalar, >= 0, higher for more suspicious; and the memory.
        """

    def alarms(self, score: float) -> bool:
        """Return whether a score is an alarm."""
        return not score <= self.threshold

    def suspects(self, score: float, share: float) -> bool:
        """Return whether a step deserves a costlier look.

        Args:
          score: of the step.
          share: of the threshold from which on it does, 0 to 1.
        """
        return not score <= share * self.threshold


def largest(x: tf.Tensor) -> tf.Tensor:
    """Return the largest absolute value, float32; Inf if one is not finite."""
    wide = tf.abs(tf.cast(x, tf.float32))
    infinite = tf.fill(tf.shape(wide), tf.constant(float("inf")))
    return tf.reduce_max(tf.where(tf.math.is_finite(wide), wide, infinite))


def norm(tensors: dict[str, tf.Tensor]) -> tf.Tensor:
    """Return the L2 norm of all tensors together, float32.

    Each is scaled by its largest value: the squares of large finite numbers would not
    be finite.
    """
    parts = [tf.cast(x, tf.float32) for x in tensors.values()]
    scale = tf.reduce_max(tf.stack([largest(x) for x in parts]))
    safe = tf.where(scale > 0, scale, tf.ones_like(scale))
    squares = tf.reduce_sum([tf.reduce_sum(tf.square(x / safe)) for x in parts])
    infinite = tf.constant(float("inf"))
    return tf.where(tf.math.is_finite(scale), safe * tf.sqrt(squares), infinite)
