# SPDX-License-Identifier: Apache-2.0
"""2-d convolution with 'same' padding; the reference operands of its gradients."""

import dataclasses
import math
from collections.abc import Sequence

import tensorflow as tf

from tpufi.layers import initializers
from tpufi.layers.context import Inject, LayerSites
from tpufi.layers.conv_views import (
    forward_view,
    input_gradient_view,
    kernel_gradient_view,
)
from tpufi.layers.layer import Layer, Run, Shape, SiteShapes, Weight
from tpufi.layers.patches import Window, same_padding, same_window

# With fewer channels, oneDNN's gradient of a 1x1 kernel that skips pixels is wrong and
# writes past its arrays, if the processor has AVX2 and no AVX-512 (TensorFlow 2.19).
_ONEDNN_BLOCK = 8


def dilate(
    dy: tf.Tensor, stride: int, sizes: Sequence[int], offsets: Sequence[int]
) -> tf.Tensor:
    """Spread the pixels of images over zeros.

    Args:
      dy: [batch, height, width, channels].
      stride: distance of two pixels in the result, >= 1.
      sizes: rows and columns of the result.
      offsets: row and column of the first pixel, >= 0.
    """
    for axis, (size, offset) in enumerate(zip(sizes, offsets, strict=True), 1):
        shape = list(dy.shape)
        shape[axis] *= stride
        between = [[0, 0]] * (dy.shape.rank + 1)
        between[axis + 1] = [0, stride - 1]
        spread = tf.reshape(tf.pad(tf.expand_dims(dy, axis + 1), between), shape)
        # Behind the last pixel there are stride - 1 zeros more than between two.
        shape[axis] -= stride - 1
        pads = [[0, 0]] * dy.shape.rank
        pads[axis] = [offset, size - offset - shape[axis]]
        dy = tf.pad(tf.slice(spread, [0] * dy.shape.rank, shape), pads)
    return dy


def kernel_gradient(
    x: tf.Tensor, sizes: Sequence[int], dy: tf.Tensor, stride: int
) -> tf.Tensor:
    """Return the gradient of the kernel of a convolution with 'same' padding.

    Args:
      x: input of the convolution, [batch, height, width, channels].
      sizes: shape of the kernel.
      dy: gradient of the output.
      stride: stride of the convolution, >= 1.
    """
    x, stride = _without_skipped(x, sizes, stride)
    return tf.raw_ops.Conv2DBackpropFilter(
        input=x,
        filter_sizes=sizes,
        out_backprop=dy,
        strides=[1, stride, stride, 1],
        padding="SAME",
    )


def _without_skipped(
    x: tf.Tensor, sizes: Sequence[int], stride: int
) -> tuple[tf.Tensor, int]:
    """Return an input and a stride that give the same products by a safe kernel."""
    skips = sizes[0] == sizes[1] == 1 < stride
    if skips and x.shape[-1] < _ONEDNN_BLOCK:
        return x[:, ::stride, ::stride], 1
    return x, stride


@dataclasses.dataclass(frozen=True)
class Conv2D(Layer):
    """Convolve NHWC images; no bias.

    Elements of backward faults refer to the reference operands, of a form in which
    both gradients are stride-1 convolutions without padding: the incoming gradient is
    dilated with zeros (stride - 1 between pixels), the layer input is padded.

    Args:
      name: layer name.
      filters: output channels.
      kernel: odd kernel size.
      stride: stride in both directions, >= 1.

    Source: docs/sites.md.
    """

    name: str
    filters: int
    kernel: int
    stride: int = 1

    def __post_init__(self) -> None:
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise ValueError(f"convolution kernel {self.kernel} is not odd")
        if self.stride < 1:
            raise ValueError(f"convolution stride {self.stride} is not positive")

    def output_shape(self, shape: Shape) -> Shape:
        height, width, _ = shape
        return -(-height // self.stride), -(-width // self.stride), self.filters

    def parameters(self, shape: Shape) -> tuple[Weight, ...]:
        kernel = (self.kernel, self.kernel, shape[-1], self.filters)
        return (Weight(f"{self.name}/kernel", kernel, initializers.glorot_normal),)

    def macs(self, shape: Shape, batch: int) -> int:
        outputs = math.prod(self.output_shape(shape))
        return batch * outputs * self.kernel**2 * shape[-1]

    def site_shapes(self, shape: Shape, batch: int) -> SiteShapes:
        (height, width, channels), k = shape, self.kernel
        out_height, out_width, filters = self.output_shape(shape)
        padded = height + k - 1, width + k - 1
        return {
            ("forward", "input"): (batch, *shape),
            ("forward", "weight"): (k, k, channels, filters),
            ("forward", "output"): (batch, out_height, out_width, filters),
            ("grad_in", "input"): (batch, *padded, filters),
            ("grad_in", "weight"): (k, k, filters, channels),
            ("grad_in", "output"): (batch, *shape),
            ("grad_wt", "input"): (channels, *padded, batch),
            ("grad_wt", "weight"): (height, width, batch, filters),
            ("grad_wt", "output"): (channels, k, k, filters),
        }

    def _product(self, x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        x, stride = _without_skipped(x, kernel.shape, self.stride)
        return tf.nn.conv2d(x, kernel, stride, "SAME")

    def forward(
        self, sites: LayerSites, run: Run, x: tf.Tensor, kernel: tf.Tensor
    ) -> tuple[tf.Tensor, tuple]:
        # A fault in an operand corrupts a copy on its way to the multipliers: the
        # backward pass reads the operands again and finds them whole.
        y = sites.product(
            "forward",
            self._product,
            {"input": x, "weight": kernel},
            view=lambda: forward_view(x, kernel, self._window(x)),
        )
        return y, (x, kernel)

    def backward(
        self, sites: LayerSites, saved: tuple, dy: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        x, kernel = saved
        dx = sites.product(
            "grad_in",
            lambda dy, kernel: tf.raw_ops.Conv2DBackpropInput(
                input_sizes=x.shape,
                filter=kernel,
                out_backprop=dy,
                strides=[1, self.stride, self.stride, 1],
                padding="SAME",
            ),
            {"input": dy, "weight": kernel},
            reference=lambda inject: self._grad_in(inject, x, kernel, dy),
            view=lambda: input_gradient_view(x.shape, kernel, dy, self._window(x)),
        )
        dkernel = sites.product(
            "grad_wt",
            lambda x, dy: kernel_gradient(x, kernel.shape, dy, self.stride),
            {"input": x, "weight": dy},
            reference=lambda inject: self._grad_wt(inject, x, dy),
            perm=(2, 0, 1, 3),
            view=lambda: kernel_gradient_view(x, kernel.shape, dy, self._window(x)),
        )
        return dx, dkernel

    def _grad_in(
        self, inject: Inject, x: tf.Tensor, kernel: tf.Tensor, dy: tf.Tensor
    ) -> tf.Tensor:
        """Input gradient: full correlation with the rotated kernel."""
        sizes = [size + self.kernel - 1 for size in x.shape[1:3]]
        offsets = [
            self.kernel - 1 - same_padding(size, self.kernel, self.stride)
            for size in x.shape[1:3]
        ]
        gradient = dilate(dy, self.stride, sizes, offsets)
        gradient = inject(gradient, "grad_in", "input")
        rotated = tf.transpose(tf.reverse(kernel, [0, 1]), (0, 1, 3, 2))
        rotated = inject(rotated, "grad_in", "weight")
        return tf.nn.conv2d(gradient, rotated, 1, "VALID")

    def _grad_wt(self, inject: Inject, x: tf.Tensor, dy: tf.Tensor) -> tf.Tensor:
        """Kernel gradient: correlation over pixels, the batch is the channel axis."""
        half = (self.kernel - 1) // 2
        padded = tf.pad(x, ((0, 0), (half, half), (half, half), (0, 0)))
        padded = inject(tf.transpose(padded, (3, 1, 2, 0)), "grad_wt", "input")
        offsets = [
            half - same_padding(size, self.kernel, self.stride) for size in x.shape[1:3]
        ]
        gradient = dilate(dy, self.stride, x.shape[1:3], offsets)
        gradient = inject(tf.transpose(gradient, (1, 2, 0, 3)), "grad_wt", "weight")
        product = tf.nn.conv2d(padded, gradient, 1, "VALID")
        return tf.transpose(product, (1, 2, 0, 3))

    def _window(self, x: tf.Tensor) -> Window:
        return same_window(x.shape[1:3], self.kernel, self.stride)
