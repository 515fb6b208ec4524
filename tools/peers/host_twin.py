# SPDX-License-Identifier: Apache-2.0
"""Injects as TensorFI does: every layer's result passes through Python.

TensorFI also computes each operation there, in NumPy or a separate session, which is
slower still.
"""

import numpy as np
import tensorflow as tf


class HostTwin:
    """A copy of a Keras model with a callback behind every layer.

    Args:
      model: a functional model; the copy shares its layers.
    """

    def __init__(self, model: tf.keras.Model):
        self._target: tuple[str, int, int] | None = None
        inputs = tf.keras.Input(model.input_shape[1:], batch_size=1)

        def through_host(layer, *args, **kwargs):
            y = layer(*args, **kwargs)
            return _Callback(self, layer.name)(y)

        copy = tf.keras.models.clone_model(
            model, input_tensors=inputs, call_function=through_host
        )
        copy.set_weights(model.get_weights())
        self._run = tf.function(lambda x: copy(x, training=False))

    def infer(self, x: tf.Tensor, layer: str, element: int, bit: int) -> np.ndarray:
        """Flip a bit of a layer's output and return the model's."""
        self._target = layer, element, bit
        return self._run(x).numpy()

    def inject(self, layer: str, value: np.ndarray) -> np.ndarray:
        """Return a layer's result as the current injection leaves it."""
        if self._target is None or self._target[0] != layer:
            return value
        _, element, bit = self._target
        faulty = value.copy()
        faulty.reshape(-1).view(np.uint32)[element] ^= np.uint32(1 << bit)
        return faulty


class _Callback(tf.keras.layers.Layer):
    """Sends its input through Python."""

    def __init__(self, twin: HostTwin, target: str):
        super().__init__(trainable=False)
        self._twin, self._injected = [twin], target  # A list: Keras tracks attributes.

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Return what the twin makes of `x`."""
        y = tf.numpy_function(
            lambda value: self._twin[0].inject(self._injected, value), [x], x.dtype
        )
        y.set_shape(x.shape)
        return y

    def compute_output_shape(self, shape: tuple) -> tuple:
        """Return the shape of the input."""
        return shape
