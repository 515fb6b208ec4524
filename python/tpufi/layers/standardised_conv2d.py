# SPDX-License-Identifier: Apache-2.0
"""2-d convolution with a standardised kernel."""

import dataclasses
import math

import tensorflow as tf

from tpufi.layers import initializers
from tpufi.layers.context import LayerSites
from tpufi.layers.conv2d import Conv2D
from tpufi.layers.layer import Layer, Run, Shape, SiteShapes, Weight

# All axes of a kernel but that of the output channels.
_FAN_IN = (0, 1, 2)


@dataclasses.dataclass(frozen=True)
class StandardisedConv2D(Layer):
    """Convolve NHWC images with a kernel of mean 0 and given norm; no bias.

    Per output channel, over its fan_in = kernel * kernel * channels raw weights w:

        standardised = (w - mean) * gain / sqrt(max(variance * fan_in, floor))

    The convolution that follows is a `Conv2D` with the standardised kernel as its
    weight, with that layer's sites. Only the raw kernel and the gain are trained.

    `raw_weight` (kernel, kernel, channels, filters) and `gain` (filters) are operands
    of the standardisation: their faults are in the standardised kernel, which both
    passes read. A fault in `weight` is in the forward pass only. `mean` and `variance`
    of the raw kernel are results. `raw_output` and `gain_output` are the gradients of
    raw kernel and gain. A fault in `grad_wt/input`, `weight` or `output` affects both;
    one in `gain_output` also the gradient of the raw kernel, computed from it.

    Args:
      name: layer name.
      filters: output channels.
      kernel: odd kernel size.
      stride: stride in both directions, >= 1.
      floor: least value under the root; kernels below it are not blown up.

    Source: Brock et al. 2021.
    """

    name: str
    filters: int
    kernel: int
    stride: int = 1
    floor: float = 1e-4

    # The convolution with the standardised kernel.
    convolution: Conv2D = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.floor <= 0:
            raise ValueError(f"floor {self.floor} is not positive")
        convolution = Conv2D(self.name, self.filters, self.kernel, self.stride)
        object.__setattr__(self, "convolution", convolution)

    def output_shape(self, shape: Shape) -> Shape:
        return self.convolution.output_shape(shape)

    def parameters(self, shape: Shape) -> tuple[Weight, ...]:
        (kernel,) = self.convolution.parameters(shape)
        return (
            Weight(f"{self.name}/gain", (self.filters,), initializers.ones),
            dataclasses.replace(kernel, initial=initializers.fan_in_normal),
        )

    def macs(self, shape: Shape, batch: int) -> int:
        return self.convolution.macs(shape, batch)

    def site_shapes(self, shape: Shape, batch: int) -> SiteShapes:
        kernel = (self.kernel, self.kernel, shape[-1], self.filters)
        channel = (self.filters,)
        return {
            **self.convolution.site_shapes(shape, batch),
            ("forward", "raw_weight"): kernel,
            ("forward", "gain"): channel,
            ("forward", "mean"): channel,
            ("forward", "variance"): channel,
            ("grad_wt", "raw_output"): kernel,
            ("grad_wt", "gain_output"): channel,
        }

    def forward(
        self,
        sites: LayerSites,
        run: Run,
        x: tf.Tensor,
        gain: tf.Tensor,
        raw: tf.Tensor,
    ) -> tuple[tf.Tensor, tuple]:
        faulty_raw = sites.inject(raw, "forward", "raw_weight")
        mean = tf.reduce_mean(faulty_raw, _FAN_IN)
        mean = sites.inject(mean, "forward", "mean")
        variance = tf.reduce_mean(tf.square(faulty_raw - mean), _FAN_IN)
        variance = sites.inject(variance, "forward", "variance")
        inverse, follows = self._inverse(raw, variance)
        faulty_gain = sites.inject(gain, "forward", "gain")
        kernel = (faulty_raw - mean) * (inverse * faulty_gain)
        y, convolved = self.convolution.forward(sites, run, x, kernel)
        # Mean, variance and standardised kernel are results: the backward pass sees
        # them as they are. Raw kernel and gain are operands, which it reads again.
        return y, (convolved, raw, gain, mean, inverse, follows)

    def backward(
        self, sites: LayerSites, saved: tuple, dy: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        convolved, raw, gain, mean, inverse, follows = saved
        dx, dkernel = self.convolution.backward(sites, convolved, dy)
        normal = (raw - mean) * inverse
        dgain = tf.reduce_sum(dkernel * normal, _FAN_IN)
        dgain = sites.inject(dgain, "grad_wt", "gain_output")
        # `normal` has norm 1 unless the floor holds: what would change it is removed.
        change = tf.where(follows, dgain, tf.zeros_like(dgain))
        draw = (dkernel - normal * change) * (inverse * gain)
        # The mean depends on the kernel as well.
        draw -= tf.reduce_mean(draw, _FAN_IN)
        return dx, dgain, sites.inject(draw, "grad_wt", "raw_output")

    def _inverse(
        self, raw: tf.Tensor, variance: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Return 1 / sqrt(...) and where it follows the variance, not the floor."""
        squares = variance * math.prod(raw.shape[:-1])
        # Not tf.maximum, whose answer to NaN differs between kernels.
        floored = squares < self.floor
        squares = tf.where(floored, tf.constant(self.floor, squares.dtype), squares)
        return tf.math.rsqrt(squares), tf.logical_not(floored)
