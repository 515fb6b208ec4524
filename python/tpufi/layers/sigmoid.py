# SPDX-License-Identifier: Apache-2.0
"""Logistic sigmoid."""

import dataclasses

import tensorflow as tf

from tpufi.layers.context import LayerSites
from tpufi.layers.layer import Layer, Run


@dataclasses.dataclass(frozen=True)
class Sigmoid(Layer):
    """Map each element to 1 / (1 + exp(-x)).

    Args:
      name: layer name.
    """

    name: str

    def forward(
        self, sites: LayerSites, run: Run, x: tf.Tensor
    ) -> tuple[tf.Tensor, tuple]:
        y = tf.sigmoid(sites.inject(x, "forward", "input"))
        y = sites.inject(y, "forward", "output")
        return y, (y,)

    def backward(
        self, sites: LayerSites, saved: tuple, dy: tf.Tensor
    ) -> tuple[tf.Tensor]:
        (y,) = saved
        dy = sites.inject(dy, "grad_in", "input")
        dx = dy * (y * (1 - y))
        return (sites.inject(dx, "grad_in", "output"),)
