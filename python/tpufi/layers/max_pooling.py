# SPDX-License-Identifier: Apache-2.0
"""Max-pooling."""

import dataclasses

import tensorflow as tf

from tpufi.layers.context import LayerSites
from tpufi.layers.layer import Run
from tpufi.layers.windowed import Windowed


@dataclasses.dataclass(frozen=True)
class MaxPooling(Windowed):
    """Take the largest pixel of each window; of equal ones, the first.

    The backward pass searches the input again, finds it whole, and gives the gradient
    to that pixel. A window with a NaN gives NaN, and the gradient goes to its first
    NaN or Inf.

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
        y = self._largest(sites.inject(x, "forward", "input"))
        return sites.inject(y, "forward", "output"), (x,)

    def backward(
        self, sites: LayerSites, saved: tuple, dy: tf.Tensor
    ) -> tuple[tf.Tensor]:
        (x,) = saved
        dy = sites.inject(dy, "grad_in", "input")
        # Kernels disagree about where a NaN stands in the order; about Inf they agree.
        inf = tf.constant(float("inf"), x.dtype)
        ordered = tf.where(tf.math.is_nan(x), inf, x)
        # Some kernels look for the forward result in the input. That of the whole
        # input is there; what a fault made of it need not be.
        largest = tf.raw_ops.MaxPool(input=ordered, **self._how)
        dx = tf.raw_ops.MaxPoolGrad(
            orig_input=ordered, orig_output=largest, grad=dy, **self._how
        )
        return (sites.inject(dx, "grad_in", "output"),)

    def _largest(self, x: tf.Tensor) -> tf.Tensor:
        """The CPU kernel passes over NaN and makes -Inf alone the lowest number.

        A NaN that vanishes would hide a fault, so each window's highest kind of number
        is found as well: NaN is above all, -Inf below.
        """
        nan, lowest = (tf.constant(v, x.dtype) for v in (float("nan"), float("-inf")))
        one = tf.ones_like(x)
        kind = tf.where(tf.equal(x, lowest), tf.zeros_like(x), one)
        kind = tf.where(tf.math.is_nan(x), one + one, kind)
        highest = tf.raw_ops.MaxPool(input=kind, **self._how)
        y = tf.raw_ops.MaxPool(input=x, **self._how)
        y = tf.where(tf.greater(highest, tf.ones_like(y)), nan, y)
        return tf.where(tf.equal(highest, tf.zeros_like(y)), lowest, y)
