# SPDX-License-Identifier: Apache-2.0
"""The training step of ResNet-18 as a user writes it in Keras, without any faults."""

import numpy as np
import tensorflow as tf

from peers.keras_resnet18 import keras_resnet18
from tpufi.models.resnet18 import WORKLOAD

keras = tf.keras
_DROPOUT = 0.15  # As in the workload.


class KerasStep:
    """Both ways to run a step, in graph mode: a tape of one's own, `train_on_batch`.

    Args:
      images: float32 [batch, height, width, channels].
      labels: int32 [batch].
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray):
        self._batch = images, labels
        self._loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        keras.utils.set_random_seed(1)
        self._model = keras_resnet18("float32", _DROPOUT)
        self._optimizer = keras.optimizers.Adam(WORKLOAD.learning_rate)
        self._optimizer.build(self._model.trainable_variables)
        self._run = tf.function(self._traced)
        self._fitted = keras_resnet18("float32", _DROPOUT)
        self._fitted.compile(
            keras.optimizers.Adam(WORKLOAD.learning_rate),
            self._loss,
            jit_compile=False,
        )

    def tape(self) -> float:
        """Run a step with a GradientTape in a tf.function; return the loss."""
        images, labels = self._batch
        return float(self._run(tf.constant(images), tf.constant(labels)))

    def train_on_batch(self) -> float:
        """Run a step with `Model.train_on_batch`; return the loss."""
        return float(self._fitted.train_on_batch(*self._batch))

    def _traced(self, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        variables = self._model.trainable_variables
        with tf.GradientTape() as tape:
            loss = self._loss(labels, self._model(images, training=True))
        self._optimizer.apply(tape.gradient(loss, variables), variables)
        return loss
