# SPDX-License-Identifier: Apache-2.0
"""Bias: a number per channel, added."""

import dataclasses

import tensorflow as tf

from tpufi.layers import initializers
from tpufi.layers.accumulator import widened
from tpufi.layers.context import LayerSites
from tpufi.layers.layer import Layer, Run, Shape, SiteShapes, Weight


@dataclasses.dataclass(frozen=True)
class Bias(Layer):
    """Add a trained number to each channel (last axis).

    Args:
      name: layer name.
    """

    name: str

    def parameters(self, shape: Shape) -> tuple[Weight, ...]:
        return (Weight(f"{self.name}/bias", shape[-1:], initializers.zeros),)

    def site_shapes(self, shape: Shape, batch: int) -> SiteShapes:
        return {
            ("forward", "input"): (batch, *shape),
            ("forward", "weight"): shape[-1:],
            ("forward", "output"): (batch, *shape),
            ("grad_in", "output"): (batch, *shape),
            ("grad_wt", "input"): (batch, *shape),
            ("grad_wt", "output"): shape[-1:],
        }

    def forward(
        self, sites: LayerSites, run: Run, x: tf.Tensor, bias: tf.Tensor
    ) -> tuple[tf.Tensor, tuple]:
        x = sites.inject(x, "forward", "input")
        bias = sites.inject(bias, "forward", "weight")
        return sites.inject(self.add(x, bias), "forward", "output"), ()

    def backward(
        self, sites: LayerSites, saved: tuple, dy: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        summed = sites.inject(dy, "grad_wt", "input")
        dbias = tf.reduce_sum(widened(summed), list(range(dy.shape.rank - 1)))
        dbias = sites.inject(tf.cast(dbias, dy.dtype), "grad_wt", "output")
        return sites.inject(dy, "grad_in", "output"), dbias

    def add(self, x: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
        """Return the sum; of 16-bit elements in float32, which gives the same sum.

        TensorFlow on a CPU merges a `bias_add` with the convolution before it, which
        then may begin its sums with the bias (SSE4.1) or round once, not twice (16
        bits); where a site stands between them it does not.
        """
        return tf.cast(widened(x) + widened(bias), x.dtype)
