# SPDX-License-Identifier: Apache-2.0
"""What this processor's kernels make of the operations that a small step consists of.

TensorFlow alone, nothing of tpufi: if this is as frozen and a golden step is not, tpufi
has changed and not the processor.
"""

import numpy as np
import tensorflow as tf

from tests.frozen_data import sha256


def processor() -> str:
    """Return a digest of convolutions, a product, sums and functions, with gradients.

    Shapes are those of the small workload of tests/campaign_runs.py.
    """
    tensors = _step(*map(_numbers, _SHAPES))
    return sha256(*(np.ascontiguousarray(tensor).tobytes() for tensor in tensors))


_SHAPES = (
    (4, 32, 32, 3),
    (3, 3, 3, 4),
    (3, 3, 4, 8),
    (3, 3, 8, 8),
    (1, 1, 4, 8),
    (8, 10),
)


def _numbers(shape: tuple[int, ...]) -> tf.Tensor:
    """Return numbers of [-1, 1), of a generator whose stream numpy never changes."""
    raw = np.random.PCG64(len(shape)).random_raw(int(np.prod(shape)))
    words = (raw >> np.uint64(40)).astype(np.float32)
    return tf.constant((words / np.float32(1 << 23) - 1).reshape(shape))


@tf.function(autograph=False)
def _step(images: tf.Tensor, *weights: tf.Tensor) -> list[tf.Tensor]:
    with tf.GradientTape() as tape:
        tape.watch([images, *weights])
        first, second, third, shortcut, dense = weights
        x = _normal(_convolution(images, first, 1))
        y = _normal(_convolution(x, second, 2))
        y = _normal(_convolution(y, third, 1)) + _convolution(x, shortcut, 2)
        logits = tf.matmul(tf.reduce_mean(y, (1, 2)), dense)
        loss = tf.reduce_mean(tf.math.log(tf.nn.softmax(logits)))
    gradients = tape.gradient(loss, [images, *weights])
    return [logits, loss, *gradients, *map(_update, gradients)]


def _convolution(x: tf.Tensor, kernel: tf.Tensor, stride: int) -> tf.Tensor:
    return tf.nn.conv2d(x, kernel, stride, "SAME")


def _normal(x: tf.Tensor) -> tf.Tensor:
    mean, variance = tf.nn.moments(x, (0, 1, 2))
    return tf.nn.relu((x - mean) * tf.math.rsqrt(variance + 1e-5))


def _update(gradient: tf.Tensor) -> tf.Tensor:
    return gradient / (tf.sqrt(tf.square(gradient)) + 1e-7)
