# SPDX-License-Identifier: Apache-2.0
"""Heads: the equal parts of a vector that attention treats by themselves."""

import tensorflow as tf


def split_heads(x: tf.Tensor, heads: int) -> tf.Tensor:
    """Return [batch, context, width] as [batch, context, heads, width / heads]."""
    batch, context, width = x.shape
    return tf.reshape(x, (batch, context, heads, width // heads))


def join_heads(x: tf.Tensor) -> tf.Tensor:
    """Return [batch, context, heads, size] as [batch, context, heads * size]."""
    batch, context, heads, size = x.shape
    return tf.reshape(x, (batch, context, heads * size))


def check_heads(heads: int, width: int) -> None:
    """Refuse a width that `heads` parts cannot share equally."""
    if heads < 1:
        raise ValueError(f"heads {heads} is not positive")
    if width % heads:
        raise ValueError(f"width {width} is not a multiple of {heads} heads")
