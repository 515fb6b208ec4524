# SPDX-License-Identifier: Apache-2.0
"""Causal self-attention, composed of its layers."""

import dataclasses
from collections.abc import Iterator

import tensorflow as tf

from tpufi.layers.attention_context import AttentionContext
from tpufi.layers.attention_scores import AttentionScores
from tpufi.layers.causal_softmax import CausalSoftmax
from tpufi.layers.layer import Layer, Node, Run, Shape


@dataclasses.dataclass(frozen=True)
class Attention(Node):
    """`context(softmax(scores(query(x), key(x))), value(x))`.

    Args:
      query: maps [batch, context, width] to the queries, of the same shape.
      key: maps it to the keys, likewise.
      value: maps it to the values, likewise.
      scores: multiplies queries and keys.
      softmax: turns scores into probabilities.
      context: adds up the values.

    Source: Vaswani et al. 2017.
    """

    query: Node
    key: Node
    value: Node
    scores: AttentionScores
    softmax: CausalSoftmax
    context: AttentionContext

    def output_shape(self, shape: Shape) -> Shape:
        query, key, value = (
            part.output_shape(shape) for part in (self.query, self.key, self.value)
        )
        result = self.context.output_shape(self.scores.output_shape(query))
        if key != query or value != result:
            raise ValueError(
                f"queries {query}, keys {key}, values {value} and context {result} of "
                "an attention differ in shape"
            )
        return result

    def layers(self, shape: Shape) -> Iterator[tuple[Layer, Shape]]:
        for part in (self.query, self.key, self.value):
            yield from part.layers(shape)
        query = self.query.output_shape(shape)
        scores = self.scores.output_shape(query)
        yield from self.scores.layers(query)
        yield from self.softmax.layers(scores)
        yield from self.context.layers(scores)

    def __call__(self, x: tf.Tensor, run: Run) -> tf.Tensor:
        scores = self.scores(self.query(x, run), run, self.key(x, run))
        probabilities = self.softmax(scores, run)
        return self.context(probabilities, run, self.value(x, run))
