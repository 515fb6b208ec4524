# SPDX-License-Identifier: Apache-2.0
"""ResNet-18 as a user builds it from Keras layers, and its gradients by a tape."""

from collections.abc import Callable

import tensorflow as tf

keras = tf.keras
_STAGES = ((64, 1), (128, 2), (256, 2), (512, 2))


def keras_resnet18(dtype: str) -> keras.Model:
    """Return the model; layers are called as those of the workload."""
    inputs = keras.Input((32, 32, 3), dtype=dtype)
    x = keras.layers.ReLU(dtype=dtype)(_normed(inputs, "conv1", "bn1", 64, 7, 2, dtype))
    for stage, (filters, first) in enumerate(_STAGES, 1):
        for block in (0, 1):
            name = f"basicblock_{stage}_basic_{block}"
            x = _block(x, name, filters, first if block == 0 else 1, dtype)
    x = keras.layers.GlobalAveragePooling2D(dtype=dtype)(x)
    return keras.Model(inputs, keras.layers.Dense(10, name="fc", dtype=dtype)(x))


def _block(x, name: str, filters: int, stride: int, dtype: str):
    parts = [f"{name}_conv1", f"{name}_bn1", filters, 3, stride, dtype]
    y = keras.layers.ReLU(dtype=dtype)(_normed(x, *parts))
    y = _normed(y, f"{name}_conv2", f"{name}_bn2", filters, 3, 1, dtype)
    if stride > 1:
        parts = [f"{name}_downsample", f"{name}_bn3", filters, 1, stride, dtype]
        x = _normed(x, *parts)
    return keras.layers.ReLU(dtype=dtype)(keras.layers.add([y, x], dtype=dtype))


def _normed(x, name: str, norm: str, filters: int, kernel: int, stride: int, dtype):
    y = keras.layers.Conv2D(
        filters, kernel, stride, padding="same", name=name, dtype=dtype
    )(x)
    return keras.layers.BatchNormalization(epsilon=1e-3, name=norm, dtype=dtype)(y)


def load(model: keras.Model, weights: dict[str, tf.Tensor]) -> None:
    """Give the model the weights of a state of the workload."""
    for layer in model.layers:
        for variable in layer.trainable_variables:
            name = f"{layer.name}/{variable.name}"
            if name not in weights:
                name = f"{layer.name}_bias/{variable.name}"
            variable.assign(weights[name])


def gradients_of(model: keras.Model, share: float) -> Callable:
    """Return a training step without its update, as a tf.function.

    Args:
      model: the model.
      share: what the sum of the losses is multiplied by.
    """

    @tf.function
    def gradients(images, labels):
        with tf.GradientTape() as tape:
            logits = model(images, training=True)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            loss = tf.reduce_sum(losses) * tf.cast(share, losses.dtype)
        named = {
            f"{layer.name}/{variable.name}": variable.value
            for layer in model.layers
            for variable in layer.trainable_variables
        }
        return loss, tape.gradient(loss, named)

    return gradients
