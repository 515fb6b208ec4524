# SPDX-License-Identifier: Apache-2.0
"""Checksums of the three products of a dense layer."""

import dataclasses
import math
from typing import Any, ClassVar, NamedTuple

import tensorflow as tf

from tpufi.detect.detector import Detector
from tpufi.detect.detectors.free_invariants import rounding
from tpufi.detect.signals import LAYERS, Network, Signals
from tpufi.layers import Dense
from tpufi.layers.accumulator import widened
from tpufi.layers.layer import LayerPass

_DEVIATIONS = 4.0  # c of the tolerance.


class Rows(NamedTuple):
    """What the tolerance needs of each row of a matrix.

    Fields:
      mean: of its elements.
      variance: at least theirs, >= 0; of the same shape.
    """

    mean: tf.Tensor
    variance: tf.Tensor

    @classmethod
    def within(cls, mean: tf.Tensor, bottom: tf.Tensor, top: tf.Tensor) -> "Rows":
        """Return the rows with these means, whose elements lie within bounds."""
        return cls(mean, tf.maximum((top - mean) * (mean - bottom), 0.0))

    @classmethod
    def of(cls, x: tf.Tensor) -> "Rows":
        """Return those of a matrix, [rows, elements]."""
        mean = tf.reduce_mean(x, 1)
        top, bottom = tf.reduce_max(x, 1), tf.reduce_min(x, 1)
        return cls.within(mean, bottom, top)


def over_tolerance(
    error: tf.Tensor, a: Rows, b: Rows, width: int, unit: float
) -> tf.Tensor:
    """Return, for each row of a product, its checksum's error over the tolerance.

    The tolerance follows from mean and deviation of the rows of A and B; its factor,
    the relative error of a sound product, is 4 units of rounding times sqrt(K / 1024),
    at least 4 units.

    Args:
      error: of each row of the product.
      a: rows of A [M, K], with the shape of the error.
      b: rows of B [K, N].
      width: N.
      unit: of the product's rounding.

    Returns:
      float32, >= 0; Inf where the error is not finite, or has no tolerance.

    Source: V-ABFT (arXiv 2602.08043), with s^2 <= (max - mu)(mu - min).
    """
    squares_a, squares_b = tf.square(a.mean), tf.reduce_sum(tf.square(b.mean))
    spread = tf.sqrt(
        width * squares_a * tf.reduce_sum(b.variance)
        + width**2 * a.variance * squares_b
    )
    product = tf.sqrt(width * a.variance * tf.reduce_sum(b.variance))
    whole = width * tf.abs(a.mean) * tf.reduce_sum(tf.abs(b.mean))
    whole += _DEVIATIONS * (spread + product)
    # A sum of N rounded numbers is never better than the numbers themselves.
    depth = b.mean.shape.num_elements()
    tolerance = 4 * unit * max(1.0, math.sqrt(depth / 1024)) * whole
    share = tf.math.divide_no_nan(error, tolerance)
    unknown = (tolerance == 0) & (error > 0) | ~tf.math.is_finite(error)
    return tf.where(unknown, float("inf"), tf.cast(share, tf.float32))


def checksum_errors(a: tf.Tensor, b: tf.Tensor, c: tf.Tensor) -> tf.Tensor:
    """Return `over_tolerance` of the row checksums of a product of two matrices.

    The error of row m is |sum_n C_mn - sum_k A_mk sum_n B_kn|.

    Args:
      a: [M, K].
      b: [K, N].
      c: their product as it was computed, [M, N].
    """
    unit = rounding(c.dtype)
    a, b, c = widened(a), widened(b), widened(c)
    error = tf.abs(tf.reduce_sum(c, 1) - tf.linalg.matvec(a, tf.reduce_sum(b, 1)))
    return over_tolerance(error, Rows.of(a), Rows.of(b), b.shape[1], unit)


@dataclasses.dataclass(frozen=True)
class DenseChecksums(Detector):
    """Row checksums of Y = X W, dX = dY W' and dW = X' dY of dense layers.

    Args:
      threshold: largest error over the tolerance without an alarm.

    Source: V-ABFT (arXiv 2602.08043).
    """

    threshold: float = 1.0

    reads: ClassVar = (LAYERS,)
    price: ClassVar = "about 1 / M + 1 / N + 1 / K of each product"

    def observe(self, layer: object, passed: LayerPass) -> tf.Tensor | None:
        if not isinstance(layer, Dense):
            return None
        x, y, dy = (
            tf.reshape(t, (-1, t.shape[-1]))
            for t in (passed.inputs[0], passed.result, passed.given)
        )
        kernel, (dx, dkernel) = passed.inputs[1], passed.gradients
        found = [
            tf.reduce_max(checksum_errors(x, kernel, y)),
            tf.reduce_max(checksum_errors(tf.transpose(x), dy, dkernel)),
        ]
        if dx is not None:
            rows = tf.reshape(dx, (-1, dx.shape[-1]))
            found.append(tf.reduce_max(checksum_errors(dy, tf.transpose(kernel), rows)))
        return tf.reduce_max(tf.stack(found))

    def score(
        self, signals: Signals, memory: Any, network: Network
    ) -> tuple[tf.Tensor, Any]:
        return tf.reduce_max(signals.layers[self]), memory
