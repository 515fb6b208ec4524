# SPDX-License-Identifier: Apache-2.0
"""Attention: scores of queries and keys, softmax, weighted sums of values."""

import dataclasses
import math
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from tpufi.layers.accumulator import widened
from tpufi.layers.context import LayerSites
from tpufi.layers.layer import Layer, Node, Run, Shape, SiteShapes
from tpufi.layers.matrix_view import Layout, MatrixView, PlainSide


def split_heads(x: tf.Tensor, heads: int) -> tf.Tensor:
    """Return [batch, context, width] as [batch, context, heads, width / heads]."""
    batch, context, width = x.shape
    return tf.reshape(x, (batch, context, heads, width // heads))


def join_heads(x: tf.Tensor) -> tf.Tensor:
    """Return [batch, context, heads, size] as [batch, context, heads * size]."""
    batch, context, heads, size = x.shape
    return tf.reshape(x, (batch, context, heads * size))


def _by_head(x: tf.Tensor, heads: int) -> tf.Tensor:
    """Return [batch, context, width] as matrices [batch * heads, context, size]."""
    return _matrices(tf.transpose(split_heads(x, heads), (0, 2, 1, 3)))


def _matrices(x: tf.Tensor) -> tf.Tensor:
    """Return [batch, heads, rows, columns] as matrices [batch * heads, ...]."""
    return tf.reshape(x, (-1, *x.shape[2:]))


def _as_scores(matrices: tf.Tensor, heads: int) -> tf.Tensor:
    """Return matrices as [batch, heads, rows, columns]."""
    return tf.reshape(matrices, (-1, heads, *matrices.shape[1:]))


def _joined(matrices: tf.Tensor, heads: int) -> tf.Tensor:
    """Return matrices [batch * heads, context, size] as [batch, context, width]."""
    return join_heads(tf.transpose(_as_scores(matrices, heads), (0, 2, 1, 3)))


def _layout_of_heads(x: tf.Tensor, heads: int) -> Layout:
    """Return where position and channel of a head stand in [batch, context, width]."""
    batch, context, width = x.shape
    return Layout(width, 1, ((batch, context * width), (heads, width // heads)))


def _layout_of_scores(x: tf.Tensor, heads: int) -> Layout:
    """Return where the score of a query and a key stands, both like `x`."""
    batch, context, _ = x.shape
    return Layout(context, 1, ((batch * heads, context * context),))


def check_heads(heads: int, width: int) -> None:
    """Refuse a width that `heads` parts cannot share equally."""
    if heads < 1:
        raise ValueError(f"heads {heads} is not positive")
    if width % heads:
        raise ValueError(f"width {width} is not a multiple of {heads} heads")


@dataclasses.dataclass(frozen=True)
class AttentionScores(Layer):
    """Multiply every query with every key, per head, over sqrt(width / heads).

    The first input is the queries, the second the keys, both [batch, context, width];
    the output is [batch, heads, queries, keys]. The keys stand where a dense layer has
    its kernel: they are the operand `weight`, and `grad_wt` is their gradient.
    `grad_in` reads incoming gradient and keys, `grad_wt` queries and incoming gradient;
    its results are the gradients of queries and keys. Operands are copies.

    Args:
      name: layer name.
      heads: number of heads, >= 1; divides the width.

    Source: Vaswani et al. 2017.
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
        scores = sites.product(
            "forward",
            self._scores,
            {"input": query, "weight": key},
            view=lambda: MatrixView(
                PlainSide(_by_head(query, self.heads)),
                PlainSide(_by_head(key, self.heads)),
                _layout_of_scores(key, self.heads).index,
                _layout_of_heads(key, self.heads).index,
                lambda matrix: _as_scores(matrix, self.heads),
                self._factor(query),
            ),
        )
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
            sites.product(
                "grad_in",
                grad_query,
                {"input": dy, "weight": key},
                view=lambda: MatrixView(
                    PlainSide(_matrices(dy)),
                    PlainSide(_by_head(key, self.heads), transposed=True),
                    _layout_of_heads(key, self.heads).index,
                    _layout_of_heads(key, self.heads).transposed.index,
                    lambda matrix: _joined(matrix, self.heads),
                    factor,
                ),
            ),
            sites.product(
                "grad_wt",
                grad_key,
                {"input": query, "weight": dy},
                view=lambda: MatrixView(
                    PlainSide(_by_head(query, self.heads), transposed=True),
                    PlainSide(_matrices(dy), transposed=True),
                    _layout_of_heads(key, self.heads).transposed.index,
                    _layout_of_scores(key, self.heads).transposed.index,
                    lambda matrix: _joined(
                        tf.linalg.matrix_transpose(matrix), self.heads
                    ),
                    factor,
                ),
            ),
        )

    def _scores(self, query: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
        queries, keys = split_heads(query, self.heads), split_heads(key, self.heads)
        products = tf.einsum("bqhd,bkhd->bhqk", queries, keys)
        return products * self._factor(query)

    def _factor(self, query: tf.Tensor) -> float:
        return 1 / math.sqrt(query.shape[-1] // self.heads)


@dataclasses.dataclass(frozen=True)
class CausalSoftmax(Layer):
    """Turn each query's scores into probabilities of its own and earlier keys.

    Scores and probabilities are [batch, heads, queries, keys]. Scores of later keys are
    replaced by -Inf, whatever they are, so that their probabilities are 0: a fault in
    one of them has no effect, but an incoming Inf or NaN turns the 0 into NaN in the
    backward pass. Probabilities are a result, which the backward passes of softmax and
    context read. Of 16-bit elements the sums are float32.

    Args:
      name: layer name.
    """

    name: str

    def forward(
        self, sites: LayerSites, run: Run, x: tf.Tensor
    ) -> tuple[tf.Tensor, tuple]:
        y = _causal_softmax(sites.inject(x, "forward", "input"))
        y = sites.inject(y, "forward", "output")
        return y, (y,)

    def backward(
        self, sites: LayerSites, saved: tuple, dy: tf.Tensor
    ) -> tuple[tf.Tensor]:
        (y,) = saved
        y, dy = widened(y), widened(sites.inject(dy, "grad_in", "input"))
        dx = y * (dy - tf.reduce_sum(dy * y, -1, keepdims=True))
        dx = tf.cast(dx, saved[0].dtype)
        return (sites.inject(dx, "grad_in", "output"),)


def _causal_softmax(x: tf.Tensor) -> tf.Tensor:
    """Not `tf.nn.softmax`, which makes zeros and one NaN of Inf; this, a row of NaN."""
    visible = tf.constant(np.tri(x.shape[-1], dtype=bool))
    scores = tf.where(visible, widened(x), tf.constant(-math.inf, widened(x).dtype))
    powers = tf.exp(scores - tf.reduce_max(scores, -1, keepdims=True))
    return tf.cast(powers / tf.reduce_sum(powers, -1, keepdims=True), x.dtype)


@dataclasses.dataclass(frozen=True)
class AttentionContext(Layer):
    """Add up the values of all keys, per head, each times its probability.

    The first input is the probabilities, [batch, heads, queries, keys], the second the
    values, [batch, context, width], like the output. The values stand where a dense
    layer has its kernel: they are the operand `weight`; `grad_wt` is their gradient.
    `grad_in` reads incoming gradient and values, `grad_wt` probabilities and incoming
    gradient; its results are the gradients of probabilities and values.

    Args:
      name: layer name.
      width: channels of the values, a multiple of the heads.

    Source: Vaswani et al. 2017.
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
        heads = x.shape[1]
        y = sites.product(
            "forward",
            _weighted_sum,
            {"input": x, "weight": value},
            view=lambda: MatrixView(
                PlainSide(_matrices(x)),
                PlainSide(_by_head(value, heads), transposed=True),
                _layout_of_heads(value, heads).index,
                _layout_of_heads(value, heads).transposed.index,
                lambda matrix: _joined(matrix, heads),
            ),
        )
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
                "grad_in",
                grad_probabilities,
                {"input": dy, "weight": value},
                view=lambda: MatrixView(
                    PlainSide(_by_head(dy, heads)),
                    PlainSide(_by_head(value, heads)),
                    _layout_of_scores(value, heads).index,
                    _layout_of_heads(value, heads).index,
                    lambda matrix: _as_scores(matrix, heads),
                ),
            ),
            sites.product(
                "grad_wt",
                grad_value,
                {"input": x, "weight": dy},
                view=lambda: MatrixView(
                    PlainSide(_matrices(x), transposed=True),
                    PlainSide(_by_head(dy, heads), transposed=True),
                    _layout_of_heads(value, heads).index,
                    _layout_of_heads(value, heads).transposed.index,
                    lambda matrix: _joined(matrix, heads),
                ),
            ),
        )


def _weighted_sum(x: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    values = split_heads(value, x.shape[1])
    return join_heads(tf.einsum("bhqk,bkhd->bqhd", x, values))


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
