# SPDX-License-Identifier: Apache-2.0
"""DenseNet-121 is the published network where it should be."""

import keras
import pytest

from tpufi.layers import Conv2D, Dropout
from tpufi.models import workload


@pytest.fixture(scope="module")
def peer() -> keras.Model:
    """DenseNet-121 by others."""
    return keras.applications.DenseNet121(
        weights=None, input_shape=(32, 32, 3), classes=10
    )


@pytest.mark.slow
def test_the_published_network_has_the_weights_of_keras_in_its_order(peer):
    work = workload("densenet_reference")
    ours = [w.shape for w in work.parameters]
    assert ours == [tuple(w.shape) for w in peer.trainable_weights]
    statistics = [w.shape for w in work.statistics]
    assert statistics == [tuple(w.shape) for w in peer.non_trainable_weights]


@pytest.mark.slow
def test_images_shrink_where_those_of_keras_do(peer):
    theirs = [
        tuple(layer.output.shape[1:])
        for layer in peer.layers
        if isinstance(layer, keras.layers.MaxPooling2D | keras.layers.AveragePooling2D)
    ]
    ours = [
        layer.output_shape(shape)
        for layer, shape in workload("densenet_reference").layers
        if layer.name.startswith("densenet") and layer.name.endswith("_pool")
    ]
    assert ours == theirs == [(8, 8, 64), (4, 4, 128), (2, 2, 256), (1, 1, 512)]


def test_the_published_dropout_stands_behind_every_convolution_but_the_first():
    layers = [layer for layer, _ in workload("densenet_reference").layers]
    behind = [
        type(after) is Dropout and after.rate == 0.2
        for layer, after in zip(layers, layers[1:], strict=False)
        if isinstance(layer, Conv2D)
    ]
    assert behind == [False] + [True] * 119
    assert sum(isinstance(layer, Dropout) for layer in layers) == 119
