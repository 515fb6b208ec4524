# SPDX-License-Identifier: Apache-2.0
"""Average pooling over windows; `GlobalAveragePooling` is over the whole image."""

import dataclasses

import tensorflow as tf

from tpufi.layers.context import LayerSites
from tpufi.layers.layer import Run
from tpufi.layers.windowed import Windowed


@dataclasses.dataclass(frozen=True)
class AveragePooling(Windowed):
    """Take the mean of the pixels of each window.

    At the edge of an image padded with `same` it is the mean of the real pixels.

    Args:
      name: layer name.
      size: rows and columns of a window, >= 1.
      stride: pixels from one window to the next, >= 1.
      padding: `valid` or `same`.

    Source: docs/sites.md, "Pooling".
    """

    def forward(
        self, sites: LayerSites, run: Run, x: tf.Tensor
    ) -> tuple[tf.Tensor, tuple]:
        faulty_x = sites.inject(x, "forward", "input")
        y = tf.raw_ops.AvgPool(value=faulty_x, **self._how)
        return sites.inject(y, "forward", "output"), (x.shape,)

    def backward(
        self, sites: LayerSites, saved: tuple, dy: tf.Tensor
    ) -> tuple[tf.Tensor]:
        (shape,) = saved
        dy = sites.inject(dy, "grad_in", "input")
        dx = tf.raw_ops.AvgPoolGrad(orig_input_shape=shape, grad=dy, **self._how)
        dx = tf.ensure_shape(dx, shape)
        return (sites.inject(dx, "grad_in", "output"),)
