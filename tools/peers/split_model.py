# SPDX-License-Identifier: Apache-2.0
"""Injects as TensorFI2 does: a model split at a layer, or weights set and set back."""

import numpy as np
import tensorflow as tf


class SplitModel:
    """Injects into the output of a layer on the host, between two halves of the model.

    TensorFI2 makes the halves for each injection; so make one of these for each, or one
    for all to see what the way could do.

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


class UnstackedWeights:
    """Injects into a weight as TensorFI2 does: as one tensor for each element, eagerly.

    Args:
      model: a Keras model.
      layer: name of a layer with weights.
    """

    def __init__(self, model: tf.keras.Model, layer: str):
        self._variable = model.get_layer(layer).trainable_variables[0]
        self._run = tf.function(lambda x: model(x, training=False))

    def infer(self, x: tf.Tensor, element: int, bit: int) -> np.ndarray:
        """Flip a bit of the layer's first weight for one inference."""
        golden = self._variable.numpy()
        elements = tf.unstack(tf.reshape(self._variable.value, [-1]))
        word = elements[element].numpy().view(np.uint32) ^ np.uint32(1 << bit)
        elements[element] = tf.constant(word.view(np.float32))
        self._variable.assign(tf.reshape(tf.stack(elements), golden.shape))
        try:
            return self._run(x).numpy()
        finally:
            self._variable.assign(golden)


class SetWeights:
    """Injects into a weight by `set_weights`, and sets it back.

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
