# SPDX-License-Identifier: Apache-2.0
"""Global average pooling."""

import dataclasses

import tensorflow as tf

from tpufi.layers.context import LayerSites
from tpufi.layers.layer import Layer, Run, Shape


@dataclasses.dataclass(frozen=True)
class GlobalAveragePooling(Layer):
    """Average each channel over all pixels.

    Args:
      name: layer name.
      keepdims: give an image of one pixel, not a vector.
    """

    name: str
    keepdims: bool = False

    def output_shape(self, shape: Shape) -> Shape:
        return (1, 1, shape[-1]) if self.keepdims else shape[-1:]

    def forward(
        self, sites: LayerSites, run: Run, x: tf.Tensor
    ) -> tuple[tf.Tensor, tuple]:
        faulty_x = sites.inject(x, "forward", "input")
        y = tf.reduce_mean(faulty_x, [1, 2], keepdims=self.keepdims)
        return sites.inject(y, "forward", "output"), (x.shape,)

    def backward(
        self, sites: LayerSites, saved: tuple, dy: tf.Tensor
    ) -> tuple[tf.Tensor]:
        (shape,) = saved
        dy = sites.inject(dy, "grad_in", "input")
        share = dy / tf.cast(shape[1] * shape[2], dy.dtype)
        if not self.keepdims:
            share = share[:, None, None, :]
        dx = tf.broadcast_to(share, shape)
        return (sites.inject(dx, "grad_in", "output"),)
