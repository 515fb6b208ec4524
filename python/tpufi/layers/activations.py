# SPDX-License-Identifier: Apache-2.0
"""Activations: layers that work element by element."""

import dataclasses
import math

import tensorflow as tf

from tpufi.layers.context import LayerSites
from tpufi.layers.layer import Layer, Run


@dataclasses.dataclass(frozen=True)
class ReLU(Layer):
    """Replace negative elements by zero.

    Args:
      name: layer name.
    """

    name: str

    def forward(
        self, sites: LayerSites, run: Run, x: tf.Tensor
    ) -> tuple[tf.Tensor, tuple]:
        y = tf.nn.relu(sites.inject(x, "forward", "input"))
        y = sites.inject(y, "forward", "output")
        return y, (y,)

    def backward(
        self, sites: LayerSites, saved: tuple, dy: tf.Tensor
    ) -> tuple[tf.Tensor]:
        (y,) = saved
        dy = sites.inject(dy, "grad_in", "input")
        # The CPU kernel of ReluGrad multiplies: 0 * Inf = NaN. XLA selects, so do we;
        # a scalar, for a graph keeps a whole tensor of zeros as long as it lives.
        dx = tf.where(y > 0, dy, tf.zeros([], dy.dtype))
        return (sites.inject(dx, "grad_in", "output"),)


@dataclasses.dataclass(frozen=True)
class Sigmoid(Layer):
    """Map each element to 1 / (1 + exp(-x)).

    Args:
      name: layer name.
    """

    name: str

    def forward(
        self, sites: LayerSites, run: Run, x: tf.Tensor
    ) -> tuple[tf.Tensor, tuple]:
        y = tf.sigmoid(sites.inject(x, "forward", "input"))
        y = sites.inject(y, "forward", "output")
        return y, (y,)

    def backward(
        self, sites: LayerSites, saved: tuple, dy: tf.Tensor
    ) -> tuple[tf.Tensor]:
        (y,) = saved
        dy = sites.inject(dy, "grad_in", "input")
        dx = dy * (y * (1 - y))
        return (sites.inject(dx, "grad_in", "output"),)


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


@dataclasses.dataclass(frozen=True)
class Swish(Layer):
    """Multiply each element by its own sigmoid.

    Args:
      name: layer name.

    Source: Ramachandran et al. 2017.
    """

    name: str

    def forward(
        self, sites: LayerSites, run: Run, x: tf.Tensor
    ) -> tuple[tf.Tensor, tuple]:
        faulty_x = sites.inject(x, "forward", "input")
        # The output does not determine the input, so the backward pass reads that
        # again; the sigmoid is cheaper to compute twice than to keep.
        return sites.inject(_swish(faulty_x), "forward", "output"), (x,)

    def backward(
        self, sites: LayerSites, saved: tuple, dy: tf.Tensor
    ) -> tuple[tf.Tensor]:
        (x,) = saved
        dy = sites.inject(dy, "grad_in", "input")
        share = tf.sigmoid(x)
        dx = dy * (share * (1 + x * (1 - share)))
        return (sites.inject(dx, "grad_in", "output"),)


def _swish(x: tf.Tensor) -> tf.Tensor:
    """Not `x * sigmoid(x)`, which TensorFlow fuses on CPU, and rounds in another way.

    It fuses only where nothing else reads the sigmoid; without fault sites the backward
    pass does, because equal expressions are merged.
    """
    return x / (1 + tf.exp(-x))
