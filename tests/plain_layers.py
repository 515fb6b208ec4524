# SPDX-License-Identifier: Apache-2.0
"""The layers as a TensorFlow user would write them, for autodiff; no fault sites.

Nothing here calls the layers or the library kernels that their gradients call.
"""

import numpy as np
import tensorflow as tf

import tpufi
from tests.layer_cases import Gated, LabelledLoss
from tests.plain_decoder import DECODER
from tpufi.layers import (
    AveragePooling,
    BatchNorm,
    Bias,
    Conv2D,
    DepthwiseConv2D,
    Dropout,
    GlobalAveragePooling,
    Layer,
    MaxPooling,
    ReLU,
    Scale,
    Sigmoid,
    SkipGain,
    StandardisedConv2D,
    Swish,
    ZeroPadding,
)
from tpufi.layers.pooling import Windowed
from tpufi.random import derive


def dropout_mask(layer: Dropout, shape: tuple, seed: np.ndarray) -> np.ndarray:
    """Compute on the host which elements the layer keeps, scaled up."""
    key = tuple(int(a) ^ b for a, b in zip(seed, derive(0, layer.name), strict=True))
    bits = tpufi.random_patterns("uint32", key, 0, int(np.prod(shape)), False)
    kept = bits.reshape(shape) >= round(layer.rate * 2**32)
    return kept / (1 - layer.rate)


def convolve(x: tf.Tensor, kernel: tf.Tensor, stride: int) -> tf.Tensor:
    """Sum over the kernel's taps of shifted images times a matrix each."""
    return _sum_of_taps(x, kernel, stride, "bhwc,cf->bhwf")


def convolve_depthwise(x: tf.Tensor, kernel: tf.Tensor, stride: int) -> tf.Tensor:
    """Sum over the kernel's taps of shifted images times a number per channel."""
    return _sum_of_taps(x, kernel[..., 0], stride, "bhwc,c->bhwc")


def _sum_of_taps(
    x: tf.Tensor, kernel: tf.Tensor, stride: int, product: str
) -> tf.Tensor:
    size = kernel.shape[0]
    pixels = [-(-n // stride) for n in x.shape[1:3]]
    pads = [
        max((p - 1) * stride + size - n, 0)
        for p, n in zip(pixels, x.shape[1:3], strict=True)
    ]
    x = tf.pad(x, [[0, 0], *([p // 2, p - p // 2] for p in pads), [0, 0]])
    reach = [(p - 1) * stride + 1 for p in pixels]
    return tf.add_n(
        [
            tf.einsum(
                product,
                x[:, i : i + reach[0] : stride, j : j + reach[1] : stride],
                kernel[i, j],
            )
            for i in range(size)
            for j in range(size)
        ]
    )


def _pool(layer: Windowed, x: tf.Tensor, reduce, fill: float) -> tf.Tensor:
    """Reduce a stack of shifted images, one for each pixel of a window."""
    height, width, _ = layer.output_shape(tuple(x.shape[1:]))
    pixels = height, width
    reach = [(p - 1) * layer.stride + 1 for p in pixels]
    lack = [
        max(r - 1 + layer.size - n, 0) for r, n in zip(reach, x.shape[1:3], strict=True)
    ]
    pads = [[0, 0], *([n // 2, n - n // 2] for n in lack), [0, 0]]
    x = tf.pad(x, pads, constant_values=fill)
    taps = [
        x[:, i : i + reach[0] : layer.stride, j : j + reach[1] : layer.stride]
        for i in range(layer.size)
        for j in range(layer.size)
    ]
    return reduce(tf.stack(taps), 0)


def _average(layer: AveragePooling, x: tf.Tensor, _w: list, _: np.ndarray):
    real = _pool(layer, tf.ones_like(x), tf.reduce_sum, 0)
    return _pool(layer, x, tf.reduce_sum, 0) / real


def _standardised(layer: StandardisedConv2D, x: tf.Tensor, w: list, _: np.ndarray):
    gain, raw = w
    mean, variance = tf.nn.moments(raw, [0, 1, 2])
    squares = variance * (raw.shape[0] * raw.shape[1] * raw.shape[2])
    norm = tf.sqrt(tf.maximum(squares, tf.constant(layer.floor, raw.dtype)))
    return convolve(x, (raw - mean) * gain / norm, layer.stride)


def _batch_norm(layer: BatchNorm, x: tf.Tensor, weights: list, _: np.ndarray):
    gamma, beta = weights
    mean, variance = tf.nn.moments(x, list(range(x.shape.rank - 1)))
    return tf.nn.batch_normalization(x, mean, variance, beta, gamma, layer.epsilon)


def _loss(layer: LabelledLoss, x: tf.Tensor, _weights: list, _: np.ndarray):
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(list(layer.labels), x)
    return tf.reduce_sum(losses) / layer.count


PLAIN = {
    Conv2D: lambda layer, x, w, _: convolve(x, w[0], layer.stride),
    DepthwiseConv2D: lambda layer, x, w, _: convolve_depthwise(x, w[0], layer.stride),
    StandardisedConv2D: _standardised,
    Scale: lambda layer, x, w, _: x * layer.factor,
    SkipGain: lambda layer, x, w, _: x * w[0],
    Bias: lambda layer, x, w, _: x + w[0],
    BatchNorm: _batch_norm,
    ReLU: lambda layer, x, w, _: tf.maximum(x, tf.zeros_like(x)),
    Swish: lambda layer, x, w, _: x / (1 + tf.exp(-x)),
    Sigmoid: lambda layer, x, w, _: 1 / (1 + tf.exp(-x)),
    Gated: lambda layer, x, w, _: x * w[0],
    GlobalAveragePooling: lambda layer, x, w, _: (
        tf.reduce_sum(x, [1, 2], layer.keepdims) / (x.shape[1] * x.shape[2])
    ),
    MaxPooling: lambda layer, x, w, _: _pool(layer, x, tf.reduce_max, x.dtype.min),
    AveragePooling: _average,
    ZeroPadding: lambda layer, x, w, _: tf.pad(
        x, [[0, 0], *[[layer.width, layer.width]] * 2, [0, 0]]
    ),
    Dropout: lambda layer, x, w, seed: (
        x * tf.constant(dropout_mask(layer, x.shape, seed), x.dtype)
    ),
    LabelledLoss: _loss,
    **DECODER,
}


def plain(
    layer: Layer | LabelledLoss, x: tf.Tensor, weights: list, seed: np.ndarray
) -> tf.Tensor:
    """Return the layer's output in training, without faults."""
    return PLAIN[type(layer)](layer, x, weights, seed)
