# SPDX-License-Identifier: Apache-2.0
"""Attention context: sums of values, weighted with probabilities."""

import dataclasses

import tensorflow as tf

from tpufi.layers.context import LayerSites
from tpufi.layers.heads import check_heads, join_heads, split_heads
from tpufi.layers.layer import Layer, Run, Shape, SiteShapes


@dataclasses.dataclass(frozen=True)
class AttentionContext(Layer):
    """Add up the values of all keys, per head, each times its probability.

    The first input is the probabilities, [batch, heads, queries, keys], the second the
    values, [batch, context, width], like the output. The values stand where a dense
    layer has its kernel: they are the operand `weight`; `grad_wt` is their gradient.

    Args:
      name: layer name.
      width: channels of the values, a multiple of the heads.

    Source: Vaswani et al. 2017; docs/sites.md.
    """

    name: str
    width: int

    def output_shape(self, shape: Shape) -> Shape:
        heads, context, _ = shape
        check_heads(heads, self.width)
        return context, self.width

    def macs(self, shape: Shape, batch: int) -> int:
        _, queries, keys = shape
        return batch * queries * keys * self.width

    def site_shapes(self, shape: Shape, batch: int) -> SiteShapes:
        probabilities, vectors = (batch, *shape), (batch, *self.output_shape(shape))
        return {
            ("forward", "input"): probabilities,
            ("forward", "weight"): vectors,
            ("forward", "output"): vectors,
            ("grad_in", "input"): vectors,
            ("grad_in", "weight"): vectors,
            ("grad_in", "output"): probabilities,
            ("grad_wt", "input"): probabilities,
            ("grad_wt", "weight"): vectors,
            ("grad_wt", "output"): vectors,
        }

    def forward(
        self, sites: LayerSites, run: Run, x: tf.Tensor, value: tf.Tensor
    ) -> tuple[tf.Tensor, tuple]:
        y = sites.product("forward", _weighted_sum, {"input": x, "weight": value})
        return y, (x, value)

    def backward(
        self, sites: LayerSites, saved: tuple, dy: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        x, value = saved
        heads = x.shape[1]

        def grad_probabilities(dy: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
            values = split_heads(value, heads)
            return tf.einsum("bqhd,bkhd->bhqk", split_heads(dy, heads), values)

        def grad_value(x: tf.Tensor, dy: tf.Tensor) -> tf.Tensor:
            return join_heads(tf.einsum("bhqk,bqhd->bkhd", x, split_heads(dy, heads)))

        return (
            sites.product(
                "grad_in", grad_probabilities, {"input": dy, "weight": value}
            ),
            sites.product("grad_wt", grad_value, {"input": x, "weight": dy}),
        )


def _weighted_sum(x: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    values = split_heads(value, x.shape[1])
    return join_heads(tf.einsum("bhqk,bkhd->bqhd", x, values))
