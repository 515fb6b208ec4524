# SPDX-License-Identifier: Apache-2.0
"""Pooling over windows, 'valid' or 'same', and over whole images."""

import dataclasses

import tensorflow as tf

from tpufi.layers.context import LayerSites
from tpufi.layers.layer import Layer, Run, Shape

PADDINGS = ("valid", "same")


@dataclasses.dataclass(frozen=True)
class Windowed(Layer):
    """A layer without parameters that makes one number of each window of pixels.

    Its sites are the input and the result of either direction.

    Args:
      name: layer name.
      size: rows and columns of a window, >= 1.
      stride: pixels from one window to the next, >= 1.
      padding: `valid`, windows inside the image only, or `same`, one for every
        `stride` pixels; what lies beyond the edge then counts for nothing.
    """

    name: str
    size: int
    stride: int
    padding: str = "valid"

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"window size {self.size} is not positive")
        if self.stride < 1:
            raise ValueError(f"window stride {self.stride} is not positive")
        if self.padding not in PADDINGS:
            raise ValueError(
                f"padding {self.padding!r} is not one of {', '.join(PADDINGS)}"
            )

    def output_shape(self, shape: Shape) -> Shape:
        *image, channels = shape
        if self.padding == "same":
            return *(-(-n // self.stride) for n in image), channels
        if min(image) < self.size:
            raise ValueError(
                f"windows of {self.size}x{self.size} pixels do not fit an image of "
                f"{image[0]}x{image[1]}; take smaller ones or padding 'same'"
            )
        return *((n - self.size) // self.stride + 1 for n in image), channels

    @property
    def _how(self) -> dict:
        """The windows as TensorFlow's pooling ops take them."""
        return {
            "ksize": [1, self.size, self.size, 1],
            "strides": [1, self.stride, self.stride, 1],
            "padding": self.padding.upper(),
        }


@dataclasses.dataclass(frozen=True)
class MaxPooling(Windowed):
    """Take the largest pixel of each window; of equal ones, the first.

    The backward pass searches the correct input again and gives the gradient to that
    pixel: a fault in the forward input or output does not redirect it. A window with a
    NaN gives NaN, one of only -Inf gives -Inf; the library's kernel for a CPU ignores
    the NaN, which would hide a fault, and gives the lowest finite number. Where the
    input itself is not a number, the gradient goes to the first NaN or +Inf.

    Args:
      name: layer name.
      size: rows and columns of a window, >= 1.
      stride: pixels from one window to the next, >= 1.
      padding: `valid` or `same`.
    """

    def forward(
        self, sites: LayerSites, run: Run, x: tf.Tensor
    ) -> tuple[tf.Tensor, tuple]:
        y = self._largest(sites.inject(x, "forward", "input"))
        return sites.inject(y, "forward", "output"), (x,)

    def backward(
        self, sites: LayerSites, saved: tuple, dy: tf.Tensor
    ) -> tuple[tf.Tensor]:
        (x,) = saved
        dy = sites.inject(dy, "grad_in", "input")
        # Kernels disagree about where a NaN stands in the order; about Inf they agree.
        inf = tf.constant(float("inf"), x.dtype)
        ordered = tf.where(tf.math.is_nan(x), inf, x)
        # Some kernels look for the forward result in the input. That of the whole
        # input is there; what a fault made of it need not be.
        largest = tf.raw_ops.MaxPool(input=ordered, **self._how)
        dx = tf.raw_ops.MaxPoolGrad(
            orig_input=ordered, orig_output=largest, grad=dy, **self._how
        )
        return (sites.inject(dx, "grad_in", "output"),)

    def _largest(self, x: tf.Tensor) -> tf.Tensor:
        """The CPU kernel passes over NaN and makes -Inf alone the lowest number.

        A NaN that vanishes would hide a fault, so each window's highest kind of number
        is found as well: NaN is above all, -Inf below.
        """
        nan, lowest = (tf.constant(v, x.dtype) for v in (float("nan"), float("-inf")))
        one = tf.ones_like(x)
        kind = tf.where(tf.equal(x, lowest), tf.zeros_like(x), one)
        kind = tf.where(tf.math.is_nan(x), one + one, kind)
        highest = tf.raw_ops.MaxPool(input=kind, **self._how)
        y = tf.raw_ops.MaxPool(input=x, **self._how)
        y = tf.where(tf.greater(highest, tf.ones_like(y)), nan, y)
        return tf.where(tf.equal(highest, tf.zeros_like(y)), lowest, y)


@dataclasses.dataclass(frozen=True)
class AveragePooling(Windowed):
    """Take the mean of the pixels of each window.

    At the edge of an image padded with `same` it is the mean of the real pixels.

    Args:
      name: layer name.
      size: rows and columns of a window, >= 1.
      stride: pixels from one window to the next, >= 1.
      padding: `valid` or `same`.
    """

    def forward(
        self, sites: LayerSites, run: Run, x: tf.Tensor
    ) -> tuple[tf.Tensor, tuple]:
        faulty_x = sites.inject(x, "forward", "input")
        y = tf.raw_ops.AvgPool(value=faulty_x, **self._how)
        return sites.inject(y, "forward", "output"), (x.shape,)

    def backward(
        self, sites: LayerSites, saved: tuple, dy: tf.Tensor
    ) -> tuple[tf.Tensor]:
        (shape,) = saved
        dy = sites.inject(dy, "grad_in", "input")
        dx = tf.raw_ops.AvgPoolGrad(orig_input_shape=shape, grad=dy, **self._how)
        dx = tf.ensure_shape(dx, shape)
        return (sites.inject(dx, "grad_in", "output"),)


@dataclasses.dataclass(frozen=True)
class GlobalAveragePooling(Layer):
    """Average each channel over all pixels.

    Args:
      name: layer name.
      keepdims: give an image of one pixel, not a vector.
    """

    name: str
    keepdims: bool = False

    def output_shape(self, shape: Shape) -> Shape:
        return (1, 1, shape[-1]) if self.keepdims else shape[-1:]

    def forward(
        self, sites: LayerSites, run: Run, x: tf.Tensor
    ) -> tuple[tf.Tensor, tuple]:
        faulty_x = sites.inject(x, "forward", "input")
        y = tf.reduce_mean(faulty_x, [1, 2], keepdims=self.keepdims)
        return sites.inject(y, "forward", "output"), (x.shape,)

    def backward(
        self, sites: LayerSites, saved: tuple, dy: tf.Tensor
    ) -> tuple[tf.Tensor]:
        (shape,) = saved
        dy = sites.inject(dy, "grad_in", "input")
        share = dy / tf.cast(shape[1] * shape[2], dy.dtype)
        if not self.keepdims:
            share = share[:, None, None, :]
        dx = tf.broadcast_to(share, shape)
        return (sites.inject(dx, "grad_in", "output"),)
