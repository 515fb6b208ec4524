# SPDX-License-Identifier: Apache-2.0
"""Checksums of the three products of a convolution: one channel more of each."""

import dataclasses
from typing import Any, ClassVar

import tensorflow as tf

from tpufi.detect.detector import Detector
from tpufi.detect.detectors.dense_checksums import Rows, over_tolerance
from tpufi.detect.detectors.free_invariants import rounding
from tpufi.detect.signals import LAYERS, Network, Signals
from tpufi.layers import Conv2D
from tpufi.layers.accumulator import widened
from tpufi.layers.conv2d import dilate, kernel_gradient
from tpufi.layers.layer import LayerPass
from tpufi.layers.patches import same_padding, same_window


@dataclasses.dataclass(frozen=True)
class ConvChecksums(Detector):
    """Row checksums of a convolution's result and of its two gradients.

    Each pixel's sum over the output channels is a convolution with the kernel summed
    over them; the input gradient's sum over input channels likewise. The kernel
    gradient's sum over output channels is that of the sum of the result's gradient.
    The tolerance is that of `dense_checksums` for rows of patches, whose mean and
    bounds are pooled from those of the channels: no patch is built. Rows of the kernel
    gradient are bounded by the whole channel.

    A depthwise convolution has one output channel for each product: its checksum would
    be the product again.

    Args:
      threshold: largest error over the tolerance without an alarm.

    Source: Hari et al. (arXiv 2006.04984); tolerance of V-ABFT (arXiv 2602.08043).
    """

    threshold: float = 2.0

    reads: ClassVar = (LAYERS,)
    price: ClassVar = "1 / Cout, 1 / Cin and 2 / Cout of the three products"

    def observe(self, layer: object, passed: LayerPass) -> tf.Tensor | None:
        if not isinstance(layer, Conv2D):
            return None
        dx, dkernel = passed.gradients
        x, kernel, y, dy, dkernel = map(
            widened, (*passed.inputs, passed.result, passed.given, dkernel)
        )
        unit = rounding(passed.result.dtype)
        found = [
            _of_result(layer, x, kernel, y, unit),
            _of_kernel_gradient(layer, x, dy, dkernel, unit),
        ]
        if dx is not None:
            found.append(_of_input_gradient(layer, kernel, dy, widened(dx), unit))
        return tf.reduce_max(tf.stack([tf.reduce_max(each) for each in found]))

    def score(
        self, signals: Signals, memory: Any, network: Network
    ) -> tuple[tf.Tensor, Any]:
        return tf.reduce_max(signals.layers[self]), memory


def _of_result(
    layer: Conv2D, x: tf.Tensor, kernel: tf.Tensor, y: tf.Tensor, unit: float
) -> tf.Tensor:
    """Return the errors of the pixels of the result, [batch, height, width]."""
    sums = tf.reduce_sum(kernel, 3, keepdims=True)
    expected = tf.nn.conv2d(x, sums, layer.stride, "SAME")[..., 0]
    window = same_window(x.shape[1:3], layer.kernel, layer.stride)
    pads = [[0, 0]]
    for size, before, count in zip(
        x.shape[1:3], window.offset, window.pixels, strict=True
    ):
        end = (count - 1) * layer.stride + layer.kernel
        pads.append([before, max(end - size - before, 0)])
    seen = tf.pad(_of_channels(x), [*pads, [0, 0]])
    return over_tolerance(
        tf.abs(tf.reduce_sum(y, 3) - expected),
        _patches(seen, layer.kernel, layer.stride),
        Rows.of(tf.reshape(kernel, [-1, layer.filters])),
        layer.filters,
        unit,
    )


def _of_input_gradient(
    layer: Conv2D, kernel: tf.Tensor, dy: tf.Tensor, dx: tf.Tensor, unit: float
) -> tf.Tensor:
    """Return the errors of the pixels of the input gradient."""
    expected = tf.raw_ops.Conv2DBackpropInput(
        input_sizes=[*dx.shape[:3], 1],
        filter=tf.reduce_sum(kernel, 2, keepdims=True),
        out_backprop=dy,
        strides=[1, layer.stride, layer.stride, 1],
        padding="SAME",
    )[..., 0]
    last = layer.kernel - 1
    sizes = [size + last for size in dx.shape[1:3]]
    offsets = [
        last - same_padding(size, layer.kernel, layer.stride) for size in dx.shape[1:3]
    ]
    seen = dilate(_of_channels(dy), layer.stride, sizes, offsets)
    return over_tolerance(
        tf.abs(tf.reduce_sum(dx, 3) - expected),
        _patches(seen, layer.kernel, 1),
        Rows.of(tf.reshape(tf.transpose(kernel, (0, 1, 3, 2)), [-1, dx.shape[3]])),
        dx.shape[3],
        unit,
    )


def _of_kernel_gradient(
    layer: Conv2D, x: tf.Tensor, dy: tf.Tensor, dkernel: tf.Tensor, unit: float
) -> tf.Tensor:
    """Return the errors of the rows of the kernel gradient, [kernel, kernel, in]."""
    sums = tf.reduce_sum(dy, 3)
    ones = tf.ones_like(sums)
    sizes = [*dkernel.shape[:3], 2]
    both = kernel_gradient(x, sizes, tf.stack([sums, ones], 3), layer.stride)
    expected, whole = tf.unstack(both, axis=3)
    # A tap may see the zeros around the image.
    top = tf.maximum(tf.reduce_max(x, [0, 1, 2]), 0.0)
    bottom = tf.minimum(tf.reduce_min(x, [0, 1, 2]), 0.0)
    return over_tolerance(
        tf.abs(tf.reduce_sum(dkernel, 3) - expected),
        Rows.within(whole / sums.shape.num_elements(), bottom, top),
        Rows.of(tf.reshape(dy, [-1, layer.filters])),
        layer.filters,
        unit,
    )


def _of_channels(x: tf.Tensor) -> tf.Tensor:
    """Return mean, maximum and negated minimum of each pixel, [..., 3]."""
    of = tf.reduce_mean(x, 3), tf.reduce_max(x, 3), -tf.reduce_min(x, 3)
    return tf.stack(of, 3)


def _patches(seen: tf.Tensor, kernel: int, stride: int) -> Rows:
    """Return the rows of what a kernel sees at each pixel.

    Args:
      seen: `_of_channels` of the images, zeros around and between pixels included.
      kernel: its size.
      stride: distance of two positions.
    """
    mean = tf.nn.avg_pool2d(seen[..., :1], kernel, stride, "VALID")[..., 0]
    bounds = tf.nn.max_pool2d(seen[..., 1:], kernel, stride, "VALID")
    return Rows.within(mean, -bounds[..., 1], bounds[..., 0])
