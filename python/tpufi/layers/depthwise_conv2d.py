# SPDX-License-Identifier: Apache-2.0
"""Depthwise 2-d convolution with 'same' padding: one filter for each channel."""

import dataclasses
import math

import tensorflow as tf

from tpufi.layers import initializers
from tpufi.layers.context import LayerSites
from tpufi.layers.conv_views import (
    depthwise_forward_view,
    depthwise_input_gradient_view,
    depthwise_kernel_gradient_view,
)
from tpufi.layers.layer import Layer, Run, Shape, SiteShapes, Weight
from tpufi.layers.patches import Window, same_window


@dataclasses.dataclass(frozen=True)
class DepthwiseConv2D(Layer):
    """Convolve each channel of NHWC images with its own filter; no bias.

    The operands of both gradients are the tensors that the library's kernels read: the
    incoming gradient has the shape of the output, without inserted zeros or padding,
    and no axis is moved. No published injection addresses another form.

    With input (B, H, W, C) and output (B, Ho, Wo, C): `grad_in/input` and
    `grad_wt/weight` are (B, Ho, Wo, C), `grad_in/weight` and `grad_wt/output`
    (kernel, kernel, C, 1), `grad_wt/input` and `grad_in/output` (B, H, W, C). An
    operand that is Inf or NaN and meets only padding, or the gaps of a stride, gives
    nothing or NaN, as the kernel skips or multiplies zeros; other channels are correct.

    Args:
      name: layer name.
      kernel: odd kernel size.
      stride: stride in both directions, from 1 to the kernel size.
    """

    name: str
    kernel: int
    stride: int = 1

    def __post_init__(self) -> None:
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise ValueError(f"convolution kernel {self.kernel} is not odd")
        if not 1 <= self.stride <= self.kernel:
            raise ValueError(
                f"depthwise stride {self.stride} is not from 1 to the kernel size "
                f"{self.kernel}"
            )

    def output_shape(self, shape: Shape) -> Shape:
        height, width, channels = shape
        return -(-height // self.stride), -(-width // self.stride), channels

    def parameters(self, shape: Shape) -> tuple[Weight, ...]:
        kernel = (self.kernel, self.kernel, shape[-1], 1)
        return (Weight(f"{self.name}/kernel", kernel, initializers.glorot_normal),)

    def macs(self, shape: Shape, batch: int) -> int:
        return batch * math.prod(self.output_shape(shape)) * self.kernel**2

    def site_shapes(self, shape: Shape, batch: int) -> SiteShapes:
        inputs, outputs = (batch, *shape), (batch, *self.output_shape(shape))
        kernel = (self.kernel, self.kernel, shape[-1], 1)
        return {
            ("forward", "input"): inputs,
            ("forward", "weight"): kernel,
            ("forward", "output"): outputs,
            ("grad_in", "input"): outputs,
            ("grad_in", "weight"): kernel,
            ("grad_in", "output"): inputs,
            ("grad_wt", "input"): inputs,
            ("grad_wt", "weight"): outputs,
            ("grad_wt", "output"): kernel,
        }

    def forward(
        self, sites: LayerSites, run: Run, x: tf.Tensor, kernel: tf.Tensor
    ) -> tuple[tf.Tensor, tuple]:
        y = sites.product(
            "forward",
            lambda x, kernel: tf.nn.depthwise_conv2d(x, kernel, **self._how),
            {"input": x, "weight": kernel},
            view=lambda: depthwise_forward_view(x, kernel, self._window(x)),
        )
        return y, (x, kernel)

    def backward(
        self, sites: LayerSites, saved: tuple, dy: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        x, kernel = saved
        # Each channel meets its own filter only: k * k products for an element, where
        # a dense convolution with a diagonal kernel would need channels times as many.
        dx = sites.product(
            "grad_in",
            lambda dy, kernel: tf.raw_ops.DepthwiseConv2dNativeBackpropInput(
                input_sizes=x.shape, filter=kernel, out_backprop=dy, **self._how
            ),
            {"input": dy, "weight": kernel},
            view=lambda: depthwise_input_gradient_view(
                x.shape, kernel, dy, self._window(x)
            ),
        )
        dkernel = sites.product(
            "grad_wt",
            lambda x, dy: tf.raw_ops.DepthwiseConv2dNativeBackpropFilter(
                input=x, filter_sizes=kernel.shape, out_backprop=dy, **self._how
            ),
            {"input": x, "weight": dy},
            view=lambda: depthwise_kernel_gradient_view(
                x, kernel.shape, dy, self._window(x)
            ),
        )
        return dx, dkernel

    def _window(self, x: tf.Tensor) -> Window:
        return same_window(x.shape[1:3], self.kernel, self.stride)

    @property
    def _how(self) -> dict:
        return {"strides": [1, self.stride, self.stride, 1], "padding": "SAME"}
