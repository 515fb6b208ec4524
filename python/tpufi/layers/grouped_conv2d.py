# SPDX-License-Identifier: Apache-2.0
"""Grouped 2-d convolution with 'same' padding."""

import dataclasses
import math
from collections.abc import Callable

import tensorflow as tf

from tpufi.layers import initializers
from tpufi.layers.dilation import dilate, same_padding
from tpufi.layers.layer import Layer, Run, Shape, Weight
from tpufi.layers.layer_sites import LayerSites, Strike
from tpufi.site_table import Site


@dataclasses.dataclass(frozen=True)
class GroupedConv2D(Layer):
    """Convolve each group of channels of NHWC images with filters of its own; no bias.

    Group i of the filters reads group i of the channels only. Positions of backward
    faults refer to the textbook form, as those of `Conv2D` do; with one group the sites
    are the same.

    Args:
      name: layer name.
      filters: output channels of all groups, a multiple of `groups`.
      kernel: odd kernel size.
      groups: number of groups, >= 1; divides the input channels.
      stride: stride in both directions, >= 1.

    Source: docs/sites.md.
    """

    name: str
    filters: int
    kernel: int
    groups: int
    stride: int = 1

    def __post_init__(self) -> None:
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise ValueError(f"convolution kernel {self.kernel} is not odd")
        if self.stride < 1:
            raise ValueError(f"convolution stride {self.stride} is not positive")
        if self.groups < 1 or self.filters % self.groups:
            raise ValueError(
                f"{self.groups} groups do not divide the {self.filters} filters"
            )

    def output_shape(self, shape: Shape) -> Shape:
        height, width, _ = shape
        return -(-height // self.stride), -(-width // self.stride), self.filters

    def parameters(self, shape: Shape) -> tuple[Weight, ...]:
        kernel = (self.kernel, self.kernel, self._fan_in(shape), self.filters)
        return (Weight(f"{self.name}/kernel", kernel, initializers.glorot_normal),)

    def macs(self, shape: Shape, batch: int) -> int:
        outputs = math.prod(self.output_shape(shape))
        return batch * outputs * self.kernel**2 * self._fan_in(shape)

    def sites(self, shape: Shape, batch: int, dtype: str) -> tuple[Site, ...]:
        (height, width, channels), k = shape, self.kernel
        outputs = (batch, *self.output_shape(shape))
        padded = height + k - 1, width + k - 1
        shapes = {
            ("forward", "input"): (batch, *shape),
            ("forward", "weight"): (k, k, self._fan_in(shape), self.filters),
            ("forward", "output"): outputs,
            ("grad_in", "input"): (batch, *padded, self.filters),
            ("grad_in", "weight"): (k, k, self.filters // self.groups, channels),
            ("grad_in", "output"): (batch, *shape),
            ("grad_wt", "input"): (channels, *padded, batch),
            ("grad_wt", "weight"): (height, width, batch, self.filters),
            ("grad_wt", "output"): (self._fan_in(shape), k, k, self.filters),
        }
        return tuple(Site(self.name, *key, s, dtype) for key, s in shapes.items())

    def infer(self, run: Run, x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        return tf.nn.conv2d(x, kernel, self.stride, "SAME")

    def forward(
        self, sites: LayerSites, run: Run, x: tf.Tensor, kernel: tf.Tensor
    ) -> tuple[tf.Tensor, tuple]:
        # The library reads the number of groups off the shapes.
        y = sites.product(
            "forward",
            lambda x, kernel: tf.nn.conv2d(x, kernel, self.stride, "SAME"),
            {"input": x, "weight": kernel},
        )
        return y, (x, kernel)

    def backward(
        self, sites: LayerSites, saved: tuple, dy: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        x, kernel = saved
        how = {"strides": [1, self.stride, self.stride, 1], "padding": "SAME"}
        operands = ("input", "weight")

        # Not every CPU kernel of a gradient knows groups, so each group is a call.
        def grad_in(kernel: tf.Tensor, dy: tf.Tensor) -> tf.Tensor:
            size = [*x.shape[:3], kernel.shape[2]]
            return tf.raw_ops.Conv2DBackpropInput(
                input_sizes=size, filter=kernel, out_backprop=dy, **how
            )

        dx = self._by_group(grad_in, (kernel, -1), (dy, -1))
        dx = sites.redo_if_struck(
            dx, "grad_in", operands, lambda strike: self._grad_in(strike, x, kernel, dy)
        )
        dx = sites.strike(dx, "grad_in", "output")

        def grad_wt(x: tf.Tensor, dy: tf.Tensor) -> tf.Tensor:
            size = [*kernel.shape[:3], dy.shape[-1]]
            return tf.raw_ops.Conv2DBackpropFilter(
                input=x, filter_sizes=size, out_backprop=dy, **how
            )

        dkernel = self._by_group(grad_wt, (x, -1), (dy, -1))
        perm = (2, 0, 1, 3)
        dkernel = sites.redo_if_struck(
            dkernel,
            "grad_wt",
            operands,
            lambda strike: self._grad_wt(strike, x, dy),
            perm,
        )
        dkernel = sites.strike(dkernel, "grad_wt", "output", perm)
        return dx, dkernel

    def _grad_in(
        self, strike: Strike, x: tf.Tensor, kernel: tf.Tensor, dy: tf.Tensor
    ) -> tf.Tensor:
        """Input gradient: each group's full correlation with its rotated kernel."""
        half = self.kernel - 1
        sizes = [size + half for size in x.shape[1:3]]
        offsets = [half - before for before in self._padding(x)]
        gradient = dilate(dy, self.stride, sizes, offsets)
        gradient = strike(gradient, "grad_in", "input")
        rotated = self._by_group(
            lambda k: tf.transpose(tf.reverse(k, [0, 1]), (0, 1, 3, 2)), (kernel, -1)
        )
        rotated = strike(rotated, "grad_in", "weight")
        return self._by_group(_correlate, (gradient, -1), (rotated, -1))

    def _grad_wt(self, strike: Strike, x: tf.Tensor, dy: tf.Tensor) -> tf.Tensor:
        """Kernel gradient: correlation over pixels, the batch is the channel axis."""
        half = (self.kernel - 1) // 2
        padded = tf.pad(x, ((0, 0), (half, half), (half, half), (0, 0)))
        padded = strike(tf.transpose(padded, (3, 1, 2, 0)), "grad_wt", "input")
        offsets = [half - before for before in self._padding(x)]
        gradient = dilate(dy, self.stride, x.shape[1:3], offsets)
        gradient = strike(tf.transpose(gradient, (1, 2, 0, 3)), "grad_wt", "weight")
        product = self._by_group(_correlate, (padded, 0), (gradient, -1))
        return tf.transpose(product, (1, 2, 0, 3))

    def _by_group(
        self, function: Callable[..., tf.Tensor], *split: tuple[tf.Tensor, int]
    ) -> tf.Tensor:
        """Apply to the parts of each group; `split` holds tensors and their axes."""
        parts = [tf.split(tensor, self.groups, axis) for tensor, axis in split]
        return tf.concat([function(*part) for part in zip(*parts, strict=True)], -1)

    def _fan_in(self, shape: Shape) -> int:
        """Input channels of one group."""
        if shape[-1] % self.groups:
            raise ValueError(
                f"{self.groups} groups do not divide the {shape[-1]} input channels of "
                f"{self.name}"
            )
        return shape[-1] // self.groups

    def _padding(self, x: tf.Tensor) -> list[int]:
        """Zeros that 'same' padding puts before rows and columns."""
        return [same_padding(n, self.kernel, self.stride) for n in x.shape[1:3]]


def _correlate(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    return tf.nn.conv2d(x, kernel, 1, "VALID")
