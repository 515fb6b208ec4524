# SPDX-License-Identifier: Apache-2.0
"""A small residual network in Keras, trained for a moment on Fashion-MNIST."""

import numpy as np
import tensorflow as tf

from tpufi import Dataset, load_dataset

NAMES = (
    *("T-shirt", "trousers", "pullover", "dress", "coat"),
    *("sandal", "shirt", "sneaker", "bag", "boot"),
)


def residual_network() -> tf.keras.Model:
    """Return a network of three residual blocks for 32x32 images."""
    layers = tf.keras.layers
    inputs = x = tf.keras.Input((32, 32, 3))
    for block, filters in enumerate((16, 32, 64), 1):
        y = layers.Conv2D(filters, 3, 2, "same", name=f"conv{block}a")(x)
        y = layers.BatchNormalization(momentum=0.9, name=f"norm{block}")(y)
        y = layers.ReLU(name=f"relu{block}a")(y)
        y = layers.Conv2D(filters, 3, 1, "same", name=f"conv{block}b")(y)
        x = layers.Conv2D(filters, 1, 2, name=f"shortcut{block}")(x)
        x = layers.Add(name=f"add{block}")([x, y])
        x = layers.ReLU(name=f"relu{block}b")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return tf.keras.Model(inputs, layers.Dense(10, name="scores")(x))


def train(model: tf.keras.Model, data: Dataset, steps: int) -> None:
    """Train for so many steps of 64 images; the seed fixes weights and order."""
    model.compile(
        tf.keras.optimizers.Adam(0.002),
        tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    chosen = np.random.default_rng(1).permutation(len(data.train_images))[: 64 * steps]
    images = data.standardise(data.train_images[chosen])
    model.fit(images, data.train_labels[chosen], batch_size=64, verbose=0)


def trained_network(name: str, steps: int) -> tuple[tf.keras.Model, Dataset]:
    """Return the trained network and its data set (docs/data.md)."""
    tf.keras.utils.set_random_seed(1)
    data, model = load_dataset(name), residual_network()
    train(model, data, steps)
    return model, data
