# SPDX-License-Identifier: Apache-2.0
"""Weights and gradients of the Keras ResNet-18 that benchmarks compare with."""

import pathlib
import sys
from collections.abc import Callable

import tensorflow as tf

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "tools"))

from peers.keras_resnet18 import keras_resnet18

__all__ = ["gradients_of", "keras_resnet18", "load"]
keras = tf.keras


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
