# SPDX-License-Identifier: Apache-2.0
"""Stochastic gradient descent."""

import dataclasses

import tensorflow as tf

from tpufi.layers.accumulator import widened
from tpufi.layers.context import LayerSites
from tpufi.optimizers.optimizer import Optimizer


@dataclasses.dataclass(frozen=True)
class SGD(Optimizer):
    """Subtract the gradient times the learning rate; no momentum."""

    def slots(self) -> tuple[str, ...]:
        return ()

    def operands(self) -> tuple[str, ...]:
        return ("gradient", "output")

    def step_size(self, rate: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        return rate

    def update(
        self,
        sites: LayerSites,
        weight: tf.Tensor,
        gradient: tf.Tensor,
        slots: dict[str, tf.Tensor],
        step_size: tf.Tensor,
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        gradient = sites.strike(gradient, "update", "gradient")
        change = tf.cast(widened(gradient) * widened(step_size), weight.dtype)
        change = sites.strike(change, "update", "output")
        return weight - change, {}
