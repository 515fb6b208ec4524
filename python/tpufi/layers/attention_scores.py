# SPDX-License-Identifier: Apache-2.0
"""Attention scores: products of queries and keys."""

import dataclasses
import math

import tensorflow as tf

from tpufi.layers.context import LayerSites
from tpufi.layers.heads import check_heads, join_heads, split_heads
from tpufi.layers.layer import Layer, Run, Shape, SiteShapes


@dataclasses.dataclass(frozen=True)
class AttentionScores(Layer):
    """Multiply every query with every key, per head, over sqrt(width / heads).

    The first input is the queries, the second the keys, both [batch, context, width];
    the output is [batch, heads, queries, keys]. The keys stand where a dense layer has
    its kernel: they are the operand `weight`, and `grad_wt` is their gradient.

    Args:
      name: layer name.
      heads: number of heads, >= 1; divides the width.

    Source: Vaswani et al. 2017; docs/sites.md.
    """

    name: str
    heads: int

    def output_shape(self, shape: Shape) -> Shape:
        context, width = shape
        check_heads(self.heads, width)
        return self.heads, context, context

    def macs(self, shape: Shape, batch: int) -> int:
        context, width = shape
        return batch * context**2 * width

    def site_shapes(self, shape: Shape, batch: int) -> SiteShapes:
        vectors, scores = (batch, *shape), (batch, *self.output_shape(shape))
        return {
            ("forward", "input"): vectors,
            ("forward", "weight"): vectors,
            ("forward", "output"): scores,
            ("grad_in", "input"): scores,
            ("grad_in", "weight"): vectors,
            ("grad_in", "output"): vectors,
            ("grad_wt", "input"): vectors,
            ("grad_wt", "weight"): scores,
            ("grad_wt", "output"): vectors,
        }

    def forward(
        self, sites: LayerSites, run: Run, query: tf.Tensor, key: tf.Tensor
    ) -> tuple[tf.Tensor, tuple]:
        scores = sites.product("forward", self._scores, {"input": query, "weight": key})
        return scores, (query, key)

    def backward(
        self, sites: LayerSites, saved: tuple, dy: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        query, key = saved
        factor = self._factor(query)

        def grad_query(dy: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
            keys = split_heads(key, self.heads)
            return join_heads(tf.einsum("bhqk,bkhd->bqhd", dy, keys) * factor)

        def grad_key(query: tf.Tensor, dy: tf.Tensor) -> tf.Tensor:
            queries = split_heads(query, self.heads)
            return join_heads(tf.einsum("bhqk,bqhd->bkhd", dy, queries) * factor)

        return (
            sites.product("grad_in", grad_query, {"input": dy, "weight": key}),
            sites.product("grad_wt", grad_key, {"input": query, "weight": dy}),
        )

    def _scores(self, query: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
        queries, keys = split_heads(query, self.heads), split_heads(key, self.heads)
        products = tf.einsum("bqhd,bkhd->bhqk", queries, keys)
        return products * self._factor(query)

    def _factor(self, query: tf.Tensor) -> float:
        return 1 / math.sqrt(query.shape[-1] // self.heads)
