# SPDX-License-Identifier: Apache-2.0
"""What detectors can read of a training step, and what they know of the network."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import tensorflow as tf

Tensors = Mapping[str, tf.Tensor]

# Names of signals, as `Detector.reads` has them.
LOSS, GRADIENTS, WEIGHTS, SLOTS = "loss", "gradients", "weights", "slots"
STATISTICS, RATE, REPLICAS, REPLAY = "statistics", "rate", "replicas", "replay"
LAYERS = "layers"


class Change(NamedTuple):
    """Tensors before and after a step, by name."""

    before: Tensors
    after: Tensors


@dataclasses.dataclass(frozen=True, eq=False)
class Signals:
    """The signals of one step; those that no detector of a watch reads may be empty.

    Args:
      loss: mean loss, a scalar.
      gradients: by weight, before any clipping, summed over the replicas.
      weights: the trained weights.
      slots: optimiser slots, by `weight/slot`.
      statistics: moving averages.
      rate: learning rate, a scalar.
      largest_input: largest absolute value of the examples, float32.
      replica_norms: float32 [replicas, weights], norm of each replica's own gradient of
        each weight.
      layers: what `Detector.observe` made of the layers, by detector: the largest of
        each replica, float32 [replicas].
    """

    loss: tf.Tensor
    gradients: Tensors
    weights: Change
    slots: Change
    statistics: Change
    rate: tf.Tensor
    largest_input: tf.Tensor
    replica_norms: tf.Tensor
    layers: Mapping[Any, tf.Tensor] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, eq=False)
class Network:
    """What a detector knows of the network before the first step.

    Args:
      labels: labels of a step, all replicas together; >= 1.
      terms: by weight, how many products its gradient is the sum of: positions of the
        layer's output times examples.
      gains: names of the weights of normalisations (gamma).
      weights: names of the weights, in order.
      replicas: how many replicas a step has.
      slots: names of the optimiser's slots.
      variance_bounds: takes the weights and the largest input, and returns bounds of
        the moving variances, by statistic; None: it has none that is known.
    """

    labels: int
    terms: Mapping[str, int]
    gains: tuple[str, ...]
    weights: tuple[str, ...]
    replicas: int
    slots: tuple[str, ...]
    variance_bounds: Callable[[Tensors, tf.Tensor], Tensors] | None = None
