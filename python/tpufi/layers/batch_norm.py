# SPDX-License-Identifier: Apache-2.0
"""Batch normalisation with the statistics of one replica's batch."""

import dataclasses
from typing import ClassVar

import tensorflow as tf

from tpufi.layers import initializers
from tpufi.layers.accumulator import widened
from tpufi.layers.context import LayerSites
from tpufi.layers.layer import Layer, Run, Shape, SiteShapes, Weight


@dataclasses.dataclass(frozen=True)
class BatchNorm(Layer):
    """Normalise each channel over the batch and all pixels, then scale and shift.

    The moving averages follow the batch statistics, faulty or not, and are averaged
    over replicas by the training step.

    Of 16-bit elements mean and variance are float32, and so is all arithmetic; results,
    gradients and moving averages are rounded to 16 bits.

    Args:
      name: layer name.
      momentum: weight of the old moving average, 0 <= momentum < 1.
      epsilon: added to the variance.

    Source: Ioffe and Szegedy 2015; docs/decisions/0010-variance.md.
    """

    name: str
    momentum: float = 0.9
    epsilon: float = 1e-3

    widened_sites: ClassVar = ("mean", "variance")

    def parameters(self, shape: Shape) -> tuple[Weight, ...]:
        return (
            Weight(f"{self.name}/gamma", shape[-1:], initializers.ones),
            Weight(f"{self.name}/beta", shape[-1:], initializers.zeros),
        )

    def statistics(self, shape: Shape) -> tuple[Weight, ...]:
        return (
            Weight(f"{self.name}/moving_mean", shape[-1:], initializers.zeros),
            Weight(f"{self.name}/moving_variance", shape[-1:], initializers.ones),
        )

    def site_shapes(self, shape: Shape, batch: int) -> SiteShapes:
        image, channel = (batch, *shape), shape[-1:]
        return {
            ("forward", "input"): image,
            ("forward", "mean"): channel,
            ("forward", "variance"): channel,
            ("forward", "weight"): channel,
            ("forward", "bias"): channel,
            ("forward", "output"): image,
            ("grad_in", "input"): image,
            ("grad_in", "output"): image,
            ("grad_wt", "output"): channel,
            ("grad_wt", "bias_output"): channel,
        }

    def infer(
        self, run: Run, x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor
    ) -> tf.Tensor:
        mean = widened(run.statistics[f"{self.name}/moving_mean"])
        variance = widened(run.statistics[f"{self.name}/moving_variance"])
        scale = tf.math.rsqrt(variance + self.epsilon) * widened(gamma)
        return tf.cast((widened(x) - mean) * scale + widened(beta), x.dtype)

    def forward(
        self,
        sites: LayerSites,
        run: Run,
        x: tf.Tensor,
        gamma: tf.Tensor,
        beta: tf.Tensor,
    ) -> tuple[tf.Tensor, tuple]:
        faulty_x = widened(sites.inject(x, "forward", "input"))
        axes = list(range(x.shape.rank - 1))
        mean = tf.reduce_mean(faulty_x, axes)
        # As the TPU computes it: a huge element gives Inf - Inf = NaN, not a variance.
        variance = tf.reduce_mean(tf.square(faulty_x), axes) - tf.square(mean)
        mean = sites.inject(mean, "forward", "mean")
        variance = sites.inject(variance, "forward", "variance")
        self._follow(run, "moving_mean", mean)
        self._follow(run, "moving_variance", variance)
        faulty_gamma = widened(sites.inject(gamma, "forward", "weight"))
        faulty_beta = widened(sites.inject(beta, "forward", "bias"))
        inverse = tf.math.rsqrt(variance + self.epsilon)
        # The backward pass needs the difference too, but without the fault in x.
        centred = widened(x) - mean
        faulty = sites.if_injected("forward", "input", lambda: faulty_x - mean, centred)
        y = faulty * (inverse * faulty_gamma) + faulty_beta
        y = sites.inject(tf.cast(y, x.dtype), "forward", "output")
        return y, (centred, inverse, gamma)

    def backward(
        self, sites: LayerSites, saved: tuple, dy: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        centred, inverse, gamma = saved
        dtype = gamma.dtype
        gamma = widened(gamma)
        dy = widened(sites.inject(dy, "grad_in", "input"))
        axes = list(range(dy.shape.rank - 1))
        count = tf.cast(tf.size(dy) // tf.size(gamma), dy.dtype)
        normal = centred * inverse
        dgamma = tf.cast(tf.reduce_sum(dy * normal, axes), dtype)
        dgamma = sites.inject(dgamma, "grad_wt", "output")
        dbeta = tf.cast(tf.reduce_sum(dy, axes), dtype)
        dbeta = sites.inject(dbeta, "grad_wt", "bias_output")
        # The batch statistics depend on x as well; their part is what is subtracted.
        shift, tilt = widened(dbeta) / count, widened(dgamma) / count
        dx = (dy - shift - normal * tilt) * (inverse * gamma)
        return sites.inject(tf.cast(dx, dtype), "grad_in", "output"), dgamma, dbeta

    def _follow(self, run: Run, what: str, batch: tf.Tensor) -> None:
        name = f"{self.name}/{what}"
        stored = run.statistics[name]
        old = widened(stored)
        # One product only: of two, a compiler may fuse either one with the sum, and
        # would choose differently with fault sites and without.
        new = old - (old - batch) * (1 - self.momentum)
        run.new_statistics[name] = tf.cast(new, stored.dtype)
