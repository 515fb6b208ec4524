# SPDX-License-Identifier: Apache-2.0
"""Sums of the bits of weights and slots, from the end of a step to the next."""

import dataclasses
from typing import Any, ClassVar

import tensorflow as tf

from tpufi.detect.detector import Detector
from tpufi.detect.signals import SLOTS, WEIGHTS, Network, Signals

_INTEGERS = {2: tf.uint16, 4: tf.uint32, 8: tf.int64}


def bit_sum(x: tf.Tensor) -> tf.Tensor:
    """Return the sum of the elements' bits as integers, int64, modulo 2**64."""
    whole = tf.bitcast(x, _INTEGERS[x.dtype.size])
    return tf.reduce_sum(tf.cast(whole, tf.int64))


@dataclasses.dataclass(frozen=True)
class StateChecksum(Detector):
    """Counts the weights and slots that are read otherwise than they were written.

    The sum of the bits as integers has no rounding: one flipped bit k changes it by
    2**k. It is that of what a step wrote, before memory may break it, and of what the
    next one reads. It sees nothing within a step.

    Args:
      threshold: most such tensors without an alarm.

    Source: exact integer checksums of stored state, docs/detectors.md.
    """

    threshold: float = 0.0

    reads: ClassVar = (WEIGHTS, SLOTS)
    price: ClassVar = "two passes over weights and slots"

    def memory(self, network: Network) -> Any:
        count = len(network.weights) * (1 + len(network.slots))
        return {"sums": tf.zeros([count], tf.int64), "steps": tf.zeros([], tf.int64)}

    def score(
        self, signals: Signals, memory: Any, network: Network
    ) -> tuple[tf.Tensor, Any]:
        def sums(which: str) -> tf.Tensor:
            groups = getattr(signals.weights, which), getattr(signals.slots, which)
            return tf.stack([bit_sum(x) for group in groups for x in group.values()])

        differ = tf.not_equal(sums("before"), memory["sums"]) & (memory["steps"] > 0)
        now = {"sums": sums("after"), "steps": memory["steps"] + 1}
        return tf.reduce_sum(tf.cast(differ, tf.float32)), now
