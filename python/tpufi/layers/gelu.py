# SPDX-License-Identifier: Apache-2.0
"""Gaussian error linear unit."""

import dataclasses
import math

import tensorflow as tf

from tpufi.layers.context import LayerSites
from tpufi.layers.layer import Layer, Run


@dataclasses.dataclass(frozen=True)
class GELU(Layer):
    """Multiply each element x by P(X <= x) of a standard normal X; not approximated.

    Args:
      name: layer name.

    Source: Hendrycks and Gimpel 2016.
    """

    name: str

    def forward(
        self, sites: LayerSites, run: Run, x: tf.Tensor
    ) -> tuple[tf.Tensor, tuple]:
        faulty_x = sites.inject(x, "forward", "input")
        y = faulty_x * _probability(faulty_x)
        # The output does not determine the input: the backward pass reads that again.
        return sites.inject(y, "forward", "output"), (x,)

    def backward(
        self, sites: LayerSites, saved: tuple, dy: tf.Tensor
    ) -> tuple[tf.Tensor]:
        (x,) = saved
        dy = sites.inject(dy, "grad_in", "input")
        density = tf.exp(tf.square(x) * -0.5) * (1 / math.sqrt(2 * math.pi))
        dx = dy * (_probability(x) + x * density)
        return (sites.inject(dx, "grad_in", "output"),)


def _probability(x: tf.Tensor) -> tf.Tensor:
    """Return P(X <= x); by erfc, which keeps its digits where 1 + erf(x) cancels."""
    return tf.math.erfc(x * -math.sqrt(0.5)) * 0.5
