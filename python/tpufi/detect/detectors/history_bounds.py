# SPDX-License-Identifier: Apache-2.0
"""Bounds of the optimiser's history that follow from the network."""

import dataclasses
import math
from typing import Any, ClassVar

import tensorflow as tf

from tpufi.detect.detector import Detector, largest
from tpufi.detect.signals import GRADIENTS, SLOTS, Network, Signals


def gradient_bound(network: Network, weight: str, deviations: float = 20.0) -> float:
    """Return the bound of a gradient and of its means: k sqrt(n) / m.

    n products of activation and signal, the signal of scale 1 / m, have a standard
    deviation of about sqrt(n) / m.

    Args:
      network: with the n of each weight, and m labels.
      weight: its name.
      deviations: k, > 0.

    Source: He et al., ISCA 2023, for one constant; by layer: docs/detectors.md.
    """
    return deviations * math.sqrt(network.terms[weight]) / network.labels


@dataclasses.dataclass(frozen=True)
class HistoryBounds(Detector):
    """Compares first and second moments of each weight with their bounds.

    The score is the largest of |m| / B and sqrt(v) / B, with B of `gradient_bound`: m
    is a mean of gradients, v one of their squares. Without these slots it is |g| / B.

    Args:
      threshold: largest share of a bound without an alarm.
      deviations: standard deviations of a gradient up to its bound, > 0.
    """

    threshold: float = 1.0
    deviations: float = 20.0

    reads: ClassVar = (GRADIENTS, SLOTS)
    price: ClassVar = "one maximum of each moment, fused with the update"

    def score(
        self, signals: Signals, memory: Any, network: Network
    ) -> tuple[tf.Tensor, Any]:
        shares = []
        for name in network.terms:
            bound = gradient_bound(network, name, self.deviations)
            slots = signals.slots.after
            if "first_moment" not in network.slots:
                shares.append(largest(signals.gradients[name]) / bound)
                continue
            shares.append(largest(slots[f"{name}/first_moment"]) / bound)
            if "second_moment" in network.slots:
                square = largest(slots[f"{name}/second_moment"])
                shares.append(tf.sqrt(square) / bound)
        return tf.reduce_max(tf.stack(shares)), memory
