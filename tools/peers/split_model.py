# SPDX-License-Identifier: Apache-2.0
"""Injects as TensorFI2 does: a model split at a layer, or weights set and set back."""

import numpy as np
import tensorflow as tf


class SplitModel:
    """Strikes the output of a layer on the host, between two halves of the model.

    TensorFI2 makes the halves for each injection; here they are made once.

    Args:
      model: a Keras model.
      layer: name of a layer that every path passes.
    """

    def __init__(self, model: tf.keras.Model, layer: str):
        output = model.get_layer(layer).output
        first = tf.keras.Model(model.inputs, output)
        second = tf.keras.Model(output, model.outputs)
        self._first = tf.function(lambda x: first(x, training=False))
        self._second = tf.function(lambda x: second(x, training=False))

    def infer(self, x: tf.Tensor, element: int, bit: int) -> np.ndarray:
        """Flip a bit of the layer's output and return the model's."""
        middle = self._first(x).numpy().copy()
        middle.reshape(-1).view(np.uint32)[element] ^= np.uint32(1 << bit)
        return self._second(tf.constant(middle)).numpy()


class SetWeights:
    """Strikes a weight by `set_weights`, and sets it back.

    Args:
      model: a Keras model.
      layer: name of a layer with weights.
    """

    def __init__(self, model: tf.keras.Model, layer: str):
        self._layer = model.get_layer(layer)
        self._run = tf.function(lambda x: model(x, training=False))

    def infer(self, x: tf.Tensor, element: int, bit: int) -> np.ndarray:
        """Flip a bit of the layer's first weight for one inference."""
        golden = self._layer.get_weights()
        faulty = [golden[0].copy(), *golden[1:]]
        faulty[0].reshape(-1).view(np.uint32)[element] ^= np.uint32(1 << bit)
        self._layer.set_weights(faulty)
        try:
            return self._run(x).numpy()
        finally:
            self._layer.set_weights(golden)
