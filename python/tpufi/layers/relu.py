# SPDX-License-Identifier: Apache-2.0
"""Rectified linear unit."""

import dataclasses

import tensorflow as tf

from tpufi.layers.context import LayerSites
from tpufi.layers.layer import Layer, Run


@dataclasses.dataclass(frozen=True)
class ReLU(Layer):
    """Replace negative elements by zero.

    Args:
      name: layer name.
    """

    name: str

    def forward(
        self, sites: LayerSites, run: Run, x: tf.Tensor
    ) -> tuple[tf.Tensor, tuple]:
        y = tf.nn.relu(sites.inject(x, "forward", "input"))
        y = sites.inject(y, "forward", "output")
        return y, (y,)

    def backward(
        self, sites: LayerSites, saved: tuple, dy: tf.Tensor
    ) -> tuple[tf.Tensor]:
        (y,) = saved
        dy = sites.inject(dy, "grad_in", "input")
        # The CPU kernel of ReluGrad multiplies: 0 * Inf = NaN. XLA selects, so do we;
        # a scalar, for a graph keeps a whole tensor of zeros as long as it lives.
        dx = tf.where(y > 0, dy, tf.zeros([], dy.dtype))
        return (sites.inject(dx, "grad_in", "output"),)
