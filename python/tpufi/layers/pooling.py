# SPDX-License-Identifier: Apache-2.0
"""Global average pooling."""

import dataclasses

import tensorflow as tf

from tpufi.layers.hooks import LayerSites
from tpufi.layers.layer import Layer, Run, Shape
from tpufi.sites import Site


@dataclasses.dataclass(frozen=True)
class GlobalAveragePooling(Layer):
    """Average each channel over all pixels.

    Args:
      name: layer name.
    """

    name: str

    def output_shape(self, shape: Shape) -> Shape:
        return shape[-1:]

    def sites(self, shape: Shape, batch: int, dtype: str) -> tuple[Site, ...]:
        image, vector = (batch, *shape), (batch, shape[-1])
        shapes = {
            ("forward", "input"): image,
            ("forward", "output"): vector,
            ("grad_in", "input"): vector,
            ("grad_in", "output"): image,
        }
        return tuple(Site(self.name, *key, s, dtype) for key, s in shapes.items())

    def infer(self, run: Run, x: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(x, [1, 2])

    def forward(
        self, sites: LayerSites, run: Run, x: tf.Tensor
    ) -> tuple[tf.Tensor, tuple]:
        y = tf.reduce_mean(sites.strike(x, "forward", "input"), [1, 2])
        return sites.strike(y, "forward", "output"), (x.shape,)

    def backward(
        self, sites: LayerSites, saved: tuple, dy: tf.Tensor
    ) -> tuple[tf.Tensor]:
        (shape,) = saved
        dy = sites.strike(dy, "grad_in", "input")
        share = dy / tf.cast(shape[1] * shape[2], dy.dtype)
        dx = tf.broadcast_to(share[:, None, None, :], shape)
        return (sites.strike(dx, "grad_in", "output"),)
