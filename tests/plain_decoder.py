# SPDX-License-Identifier: Apache-2.0
"""The layers of a decoder as a TensorFlow user would write them; see `plain_layers`."""

import math

import numpy as np
import tensorflow as tf

from tests.decoder_cases import LookedUp, WithKeys, WithValues
from tpufi.layers import (
    GELU,
    AttentionContext,
    AttentionScores,
    CausalSoftmax,
    Dense,
    Embedding,
    LayerNorm,
    PositionEmbedding,
)


def scores(layer: AttentionScores, query: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """Multiply queries and keys, one head after the other."""
    heads = zip(*(tf.split(t, layer.heads, -1) for t in (query, key)), strict=True)
    size = query.shape[-1] // layer.heads
    products = [tf.matmul(q, k, transpose_b=True) for q, k in heads]
    return tf.stack(products, 1) / math.sqrt(size)


def context(
    layer: AttentionContext, probabilities: tf.Tensor, value: tf.Tensor
) -> tf.Tensor:
    """Add up weighted values, one head after the other."""
    heads = probabilities.shape[1]
    each = zip(
        tf.unstack(probabilities, axis=1), tf.split(value, heads, -1), strict=True
    )
    return tf.concat([tf.matmul(p, v) for p, v in each], -1)


def _softmax(layer: CausalSoftmax, x: tf.Tensor, _w: list, _: np.ndarray):
    """Each query by itself, over as many keys as it may see."""
    size = x.shape[-1]
    rows = [tf.nn.softmax(x[..., q, : q + 1]) for q in range(size)]
    free = [[0, 0]] * (x.shape.rank - 2)
    padded = [tf.pad(row, [*free, [0, size - 1 - q]]) for q, row in enumerate(rows)]
    return tf.stack(padded, -2)


def _layer_norm(layer: LayerNorm, x: tf.Tensor, weights: list, _: np.ndarray):
    gamma, beta = weights
    mean, variance = tf.nn.moments(x, [-1], keepdims=True)
    return tf.nn.batch_normalization(x, mean, variance, beta, gamma, layer.epsilon)


def looked_up(layer: Embedding, tokens: tf.Tensor | tuple, table: tf.Tensor):
    """Multiply one-hot rows with the table."""
    one_hot = tf.one_hot(tokens, layer.vocabulary, dtype=table.dtype)
    return tf.tensordot(one_hot, table, 1)


DECODER = {
    AttentionContext: lambda layer, x, w, _: context(layer, x, *w),
    AttentionScores: lambda layer, x, w, _: scores(layer, x, *w),
    CausalSoftmax: _softmax,
    Dense: lambda layer, x, w, _: tf.tensordot(x, w[0], 1),
    Embedding: lambda layer, tokens, w, _: looked_up(layer, tokens, w[0]),
    GELU: lambda layer, x, w, _: x * (1 + tf.math.erf(x / math.sqrt(2))) / 2,
    LayerNorm: _layer_norm,
    LookedUp: lambda layer, x, w, _: looked_up(layer.layer, layer.tokens, x),
    PositionEmbedding: lambda layer, x, w, _: x + w[0][tf.newaxis],
    WithKeys: lambda layer, x, w, _: scores(layer.layer, x, *w),
    WithValues: lambda layer, x, w, _: context(layer.layer, x, *w),
}
