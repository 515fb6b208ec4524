# SPDX-License-Identifier: Apache-2.0
"""Gradients of strided windows, spread over zeros as in the reference form."""

from collections.abc import Sequence

import tensorflow as tf


def same_padding(size: int, kernel: int, stride: int) -> int:
    """Return the number of zeros that 'same' padding puts before an axis of `size`."""
    pixels = -(-size // stride)
    return max((pixels - 1) * stride + kernel - size, 0) // 2


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
