# SPDX-License-Identifier: Apache-2.0
"""ResNet-18 in plain TensorFlow, for autodiff; shares no code with the layers."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tests.plain_layers import dropout_mask
from tpufi.layers import Dropout

Weights = dict[str, tf.Tensor]
Drop = Callable[[str, tf.Tensor], tf.Tensor]

RATE = 0.15


def mean_loss(
    weights: Weights, images: np.ndarray, labels: np.ndarray, keys: np.ndarray
) -> tf.Tensor:
    """Return the mean loss over all replicas; each normalises its own batch.

    Args:
      weights: by name.
      images: float64 [replicas, batch, 32, 32, 3].
      labels: int32 [replicas, batch].
      keys: uint32 [replicas, 2], keys for dropout.
    """
    losses = []
    for x, y, key in zip(images, labels, keys, strict=True):

        def drop(name: str, z: tf.Tensor, key: np.ndarray = key) -> tf.Tensor:
            return z * tf.constant(dropout_mask(Dropout(name, RATE), z.shape, key))

        logits = _logits(weights, tf.constant(x), drop)
        losses.append(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))
    return tf.reduce_mean(losses)


def _logits(w: Weights, x: tf.Tensor, drop: Drop) -> tf.Tensor:
    x = tf.nn.relu(_norm(w, "bn1", _conv(w, "conv1", x, 2)))
    for stage in (1, 2, 3, 4):
        for block in (0, 1):
            stride = 2 if stage > 1 and block == 0 else 1
            x = _block(w, f"basicblock_{stage}_basic_{block}", x, stride, drop)
    return tf.reduce_mean(x, [1, 2]) @ w["fc/kernel"] + w["fc_bias/bias"]


def _block(w: Weights, name: str, x: tf.Tensor, stride: int, drop: Drop) -> tf.Tensor:
    shortcut = x
    if stride > 1:
        shortcut = _conv(w, f"{name}_downsample", x, stride)
        shortcut = _norm(w, f"{name}_bn3", shortcut)
    x = tf.nn.relu(_norm(w, f"{name}_bn1", _conv(w, f"{name}_conv1", x, stride)))
    x = drop(f"{name}_dropout1", x)
    x = _norm(w, f"{name}_bn2", _conv(w, f"{name}_conv2", x, 1))
    return drop(f"{name}_dropout2", tf.nn.relu(x + shortcut))


def _conv(w: Weights, name: str, x: tf.Tensor, stride: int) -> tf.Tensor:
    y = tf.nn.conv2d(x, w[f"{name}/kernel"], stride, "SAME")
    return y + w[f"{name}_bias/bias"]


def _norm(w: Weights, name: str, x: tf.Tensor) -> tf.Tensor:
    if f"{name}/gamma" not in w:
        return x  # resnet18_nobn.
    mean, variance = tf.nn.moments(x, [0, 1, 2])
    gamma, beta = w[f"{name}/gamma"], w[f"{name}/beta"]
    return tf.nn.batch_normalization(x, mean, variance, beta, gamma, 1e-3)
