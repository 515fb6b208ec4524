# SPDX-License-Identifier: Apache-2.0
"""Softmax over the keys that a query may see."""

import dataclasses
import math

import numpy as np
import tensorflow as tf

from tpufi.layers.accumulator import widened
from tpufi.layers.context import LayerSites
from tpufi.layers.layer import Layer, Run


@dataclasses.dataclass(frozen=True)
class CausalSoftmax(Layer):
    """Turn each query's scores into probabilities of its own and earlier keys.

    Scores and probabilities are [batch, heads, queries, keys]. Scores of later keys are
    replaced by -Inf, whatever they are, so that their probabilities are 0. Of 16-bit
    elements the sums are float32.

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
