# SPDX-License-Identifier: Apache-2.0
"""Layer normalisation."""

import dataclasses
from typing import ClassVar

import tensorflow as tf

from tpufi.layers import initializers
from tpufi.layers.accumulator import widened
from tpufi.layers.context import LayerSites
from tpufi.layers.layer import Layer, Run, Shape, SiteShapes, Weight


@dataclasses.dataclass(frozen=True)
class LayerNorm(Layer):
    """Normalise each vector (last axis) by itself, then scale and shift.

    The statistics of a vector x are its mean and the inverse of its deviation,
    1 / sqrt(mean((x - mean)^2) + epsilon). Both are results: what follows sees them as
    they are, and a faulty mean also enters the deviation. Of 16-bit elements both are
    float32, and so is all arithmetic; results and gradients are rounded to 16 bits.

    Args:
      name: layer name.
      epsilon: added to the variance, > 0.

    Source: Ba et al. 2016.
    """

    name: str
    epsilon: float = 1e-5

    widened_sites: ClassVar = ("mean", "inverse_deviation")

    def __post_init__(self) -> None:
        if self.epsilon <= 0:
            raise ValueError(f"epsilon {self.epsilon} is not positive")

    def parameters(self, shape: Shape) -> tuple[Weight, ...]:
        return (
            Weight(f"{self.name}/gamma", shape[-1:], initializers.ones),
            Weight(f"{self.name}/beta", shape[-1:], initializers.zeros),
        )

    def site_shapes(self, shape: Shape, batch: int) -> SiteShapes:
        vectors, vector = (batch, *shape), shape[-1:]
        each = (batch, *shape[:-1])
        return {
            ("forward", "input"): vectors,
            ("forward", "mean"): each,
            ("forward", "inverse_deviation"): each,
            ("forward", "weight"): vector,
            ("forward", "bias"): vector,
            ("forward", "output"): vectors,
            ("grad_in", "input"): vectors,
            ("grad_in", "output"): vectors,
            ("grad_wt", "output"): vector,
            ("grad_wt", "bias_output"): vector,
        }

    def forward(
        self,
        sites: LayerSites,
        run: Run,
        x: tf.Tensor,
        gamma: tf.Tensor,
        beta: tf.Tensor,
    ) -> tuple[tf.Tensor, tuple]:
        faulty_x = widened(sites.inject(x, "forward", "input"))
        mean = sites.inject(tf.reduce_mean(faulty_x, -1), "forward", "mean")
        mean = mean[..., tf.newaxis]
        centred = faulty_x - mean
        inverse = self._inverse(centred)
        inverse = sites.inject(inverse, "forward", "inverse_deviation")
        inverse = inverse[..., tf.newaxis]
        faulty_gamma = widened(sites.inject(gamma, "forward", "weight"))
        faulty_beta = widened(sites.inject(beta, "forward", "bias"))
        y = tf.cast(centred * (inverse * faulty_gamma) + faulty_beta, x.dtype)
        return sites.inject(y, "forward", "output"), (x, mean, inverse, gamma)

    def backward(
        self, sites: LayerSites, saved: tuple, dy: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        x, mean, inverse, gamma = saved
        dtype = x.dtype
        dy = widened(sites.inject(dy, "grad_in", "input"))
        normal = (widened(x) - mean) * inverse
        vectors = list(range(x.shape.rank - 1))
        dgamma = tf.cast(tf.reduce_sum(dy * normal, vectors), dtype)
        dbeta = tf.cast(tf.reduce_sum(dy, vectors), dtype)
        scaled = dy * widened(gamma)
        # The statistics depend on x as well; their part is what is subtracted.
        shift = tf.reduce_mean(scaled, -1, keepdims=True)
        stretch = tf.reduce_mean(scaled * normal, -1, keepdims=True)
        dx = tf.cast((scaled - shift - normal * stretch) * inverse, dtype)
        return (
            sites.inject(dx, "grad_in", "output"),
            sites.inject(dgamma, "grad_wt", "output"),
            sites.inject(dbeta, "grad_wt", "bias_output"),
        )

    def _inverse(self, centred: tf.Tensor) -> tf.Tensor:
        return tf.math.rsqrt(tf.reduce_mean(tf.square(centred), -1) + self.epsilon)
