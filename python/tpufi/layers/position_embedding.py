# SPDX-License-Identifier: Apache-2.0
"""Position embedding: a trained vector for each place in the context, added."""

import dataclasses

import tensorflow as tf

from tpufi.layers import initializers
from tpufi.layers.context import LayerSites
from tpufi.layers.layer import Layer, Run, Shape, SiteShapes, Weight


@dataclasses.dataclass(frozen=True)
class PositionEmbedding(Layer):
    """Add the same trained table, (context, width), to every example.

    Args:
      name: layer name.
    """

    name: str

    def parameters(self, shape: Shape) -> tuple[Weight, ...]:
        return (Weight(f"{self.name}/table", shape, initializers.small_normal),)

    def site_shapes(self, shape: Shape, batch: int) -> SiteShapes:
        vectors = (batch, *shape)
        return {
            ("forward", "input"): vectors,
            ("forward", "weight"): shape,
            ("forward", "output"): vectors,
            ("grad_in", "output"): vectors,
            ("grad_wt", "input"): vectors,
            ("grad_wt", "output"): shape,
        }

    def forward(
        self, sites: LayerSites, run: Run, x: tf.Tensor, table: tf.Tensor
    ) -> tuple[tf.Tensor, tuple]:
        x = sites.inject(x, "forward", "input")
        table = sites.inject(table, "forward", "weight")
        return sites.inject(x + table, "forward", "output"), ()

    def backward(
        self, sites: LayerSites, saved: tuple, dy: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        dtable = tf.reduce_sum(sites.inject(dy, "grad_wt", "input"), 0)
        dtable = sites.inject(dtable, "grad_wt", "output")
        return sites.inject(dy, "grad_in", "output"), dtable
