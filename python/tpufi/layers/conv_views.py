# SPDX-License-Identifier: Apache-2.0
"""The three products of a convolution as a matrix unit computes them (im2col).

Of a depthwise convolution each channel of the images is a group, with as many results
as it has filters.
"""

from collections.abc import Sequence

import tensorflow as tf

from tpufi.layers.matrix_view import (
    Layout,
    MatrixView,
    PlainSide,
    Side,
    Size,
    sizes_of,
)
from tpufi.layers.patches import (
    ChannelPatchSide,
    ChannelTapSide,
    PatchSide,
    TapSide,
    Window,
)


def forward_view(x: tf.Tensor, kernel: tf.Tensor, window: Window) -> MatrixView:
    """View: pixels x (taps, channels) times (taps, channels) x filters.

    Args:
      x: [batch, height, width, channels].
      kernel: [rows, columns, channels, filters].
      window: how the kernel moves over the images.
    """
    filters = kernel.shape[3]
    shape = sizes_of(x)[0], *window.pixels, filters
    return MatrixView(
        PatchSide(x, window),
        PlainSide(tf.reshape(kernel, (-1, filters)), transposed=True),
        Layout(filters, 1).index,
        Layout(1, filters).index,
        lambda matrix: tf.reshape(matrix, shape),
    )


def input_gradient_view(
    sizes: Sequence[Size], kernel: tf.Tensor, dy: tf.Tensor, window: Window
) -> MatrixView:
    """View: pixels x (taps, filters) times (taps, filters) x channels.

    Pixels are those of the input, the kernel is rotated, and the incoming gradient has
    zeros between its pixels if the stride is more than 1.

    Args:
      sizes: of the input.
      kernel: as in `forward_view`.
      dy: [batch, *window.pixels, filters].
      window: how the kernel moves over the input.
    """
    taps, (*_, channels, filters) = len(window.taps), kernel.shape
    rotated = tf.reverse(tf.reshape(kernel, (taps, channels, filters)), [0])
    right = tf.reshape(tf.transpose(rotated, (1, 0, 2)), (channels, taps * filters))

    def weight(channel: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
        tap, own = place // filters, place % filters
        own += (taps - 1 - tap) * (channels * filters)
        return (channel[:, tf.newaxis] * filters + own)[tf.newaxis]

    return MatrixView(
        PatchSide(dy, window.of_gradient(sizes[1:3])),
        PlainSide(right),
        Layout(channels, 1).index,
        weight,
        lambda matrix: tf.reshape(matrix, sizes),
    )


def kernel_gradient_view(
    x: tf.Tensor, kernel: Sequence[int], dy: tf.Tensor, window: Window
) -> MatrixView:
    """View: (taps, channels) x pixels times pixels x filters.

    Args:
      x: as in `forward_view`.
      kernel: shape of the kernel.
      dy: [batch, *window.pixels, filters].
      window: how the kernel moves over the images.
    """
    filters = kernel[3]
    return MatrixView(
        TapSide(x, window),
        PlainSide(tf.reshape(dy, (-1, filters)), transposed=True),
        Layout(filters, 1).index,
        Layout(1, filters).index,
        lambda matrix: tf.reshape(matrix, kernel),
    )


def depthwise_forward_view(
    x: tf.Tensor, kernel: tf.Tensor, window: Window
) -> MatrixView:
    """View: for each channel, pixels x taps times taps x its filters.

    Args:
      x: [batch, height, width, channels].
      kernel: [rows, columns, channels, filters of each].
      window: how the kernel moves over the images.
    """
    channels, filters = kernel.shape[2:]
    taps = tf.reshape(kernel, (-1, channels, filters))
    shape = sizes_of(x)[0], *window.pixels, channels * filters
    return _by_channel(
        ChannelPatchSide(x, window),
        PlainSide(tf.transpose(taps, (1, 2, 0))),
        Layout(channels * filters, 1, ((channels, filters),)),
        shape,
        Layout(1, channels * filters, ((channels, filters),)),
    )


def depthwise_input_gradient_view(
    sizes: Sequence[Size], kernel: tf.Tensor, dy: tf.Tensor, window: Window
) -> MatrixView:
    """View: for each channel, pixels x (taps, its filters) times one column.

    Args:
      sizes: of the input.
      kernel: as in `depthwise_forward_view`.
      dy: [batch, *window.pixels, channels * filters of each].
      window: how the kernel moves over the input.
    """
    taps, (*_, channels, filters) = len(window.taps), kernel.shape
    rotated = tf.reverse(tf.reshape(kernel, (taps, channels, filters)), [0])
    column = tf.reshape(tf.transpose(rotated, (1, 0, 2)), (channels, 1, -1))
    weight = Layout(0, 1, ((channels, filters),))

    def place(n: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
        tap = taps - 1 - k // filters
        return weight.index(n, tap * (channels * filters) + k % filters)

    return MatrixView(
        ChannelPatchSide(dy, window.of_gradient(sizes[1:3]), filters),
        PlainSide(column),
        Layout(channels, 0, ((channels, 1),)).index,
        place,
        lambda matrix: tf.reshape(tf.transpose(matrix, (1, 0, 2)), sizes),
    )


def depthwise_kernel_gradient_view(
    x: tf.Tensor, kernel: Sequence[int], dy: tf.Tensor, window: Window
) -> MatrixView:
    """View: for each channel, taps x pixels times pixels x its filters.

    Args:
      x: as in `depthwise_forward_view`.
      kernel: shape of the kernel.
      dy: [batch, *window.pixels, channels * filters of each].
      window: how the kernel moves over the images.
    """
    channels, filters = kernel[2:]
    pixels = tf.reshape(dy, (-1, channels, filters))
    return _by_channel(
        ChannelTapSide(x, window),
        PlainSide(tf.transpose(pixels, (1, 2, 0))),
        Layout(channels * filters, 1, ((channels, filters),)),
        kernel,
        Layout(1, channels * filters, ((channels, filters),)),
    )


def _by_channel(
    left: Side, right: Side, result: Layout, shape: Sequence[Size], weight: Layout
) -> MatrixView:
    """View with a group for each channel, which stands behind the pixels or taps."""
    return MatrixView(
        left,
        right,
        result.index,
        weight.index,
        lambda matrix: tf.reshape(tf.transpose(matrix, (1, 0, 2)), shape),
    )
