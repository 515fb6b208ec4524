# SPDX-License-Identifier: Apache-2.0
"""What must hold in a backward pass whatever the numbers: sums that vanish.

Each is a sum of terms that cancel, or two sums that are equal. The score is the largest
|sum| over the sum of the absolute terms, in units of the type's rounding: 1 to 50 in
clean steps of small workloads in float32.
"""

import dataclasses
from typing import Any, ClassVar

import tensorflow as tf

from tpufi.detect.detector import Detector
from tpufi.detect.signals import LAYERS, Network, Signals
from tpufi.element import element
from tpufi.layers import (
    AttentionContext,
    AttentionScores,
    BatchNorm,
    CausalSoftmax,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    LayerNorm,
)
from tpufi.layers.accumulator import widened
from tpufi.layers.layer import LayerPass
from tpufi.layers.softmax_loss import LossPasses

_LINEAR = (Conv2D, Dense, DepthwiseConv2D, AttentionScores)


def rounding(dtype: tf.DType) -> float:
    """Return the distance from 1 to the next number of a type."""
    return 2.0 ** -element(dtype.name).mantissa_bits


def vanishing(terms: tf.Tensor, axes: list[int], scale: tf.Tensor) -> tf.Tensor:
    """Return the largest |sum| over `scale`, in units of the terms' rounding.

    Args:
      terms: whose sums are to vanish.
      axes: of a sum.
      scale: like the sums, >= 0; where it is 0, so is the result.
    """
    total = tf.abs(tf.reduce_sum(widened(terms), axes))
    share = tf.math.divide_no_nan(total, tf.cast(scale, total.dtype))
    # NaN is not lost in a maximum.
    share = tf.where(tf.math.is_finite(total), share, float("inf"))
    return tf.reduce_max(tf.cast(share, tf.float32)) / rounding(terms.dtype)


def _rows(x: tf.Tensor, axes: list[int]) -> tf.Tensor:
    return vanishing(x, axes, tf.reduce_sum(tf.abs(widened(x)), axes))


def _worst(detector: Detector, signals: Signals) -> tf.Tensor:
    return tf.reduce_max(signals.layers[detector])


@dataclasses.dataclass(frozen=True)
class NormZeroSums(Detector):
    """Sums of the input gradients of normalisations: over a batch, or a vector.

    Args:
      threshold: largest |sum| over the sum of absolute terms, in units of rounding.
    """

    threshold: float = 1000.0

    reads: ClassVar = (LAYERS,)
    price: ClassVar = "one pass over the input gradients of the normalisations"

    def observe(self, layer: object, passed: LayerPass) -> tf.Tensor | None:
        dx = passed.gradients[0]
        if dx is None or not isinstance(layer, BatchNorm | LayerNorm):
            return None
        last = dx.shape.rank - 1
        return _rows(dx, [last] if isinstance(layer, LayerNorm) else [*range(last)])

    def score(
        self, signals: Signals, memory: Any, network: Network
    ) -> tuple[tf.Tensor, Any]:
        return _worst(self, signals), memory


@dataclasses.dataclass(frozen=True)
class SoftmaxZeroSums(Detector):
    """Rows of the gradient of attention's scores, which sum to zero.

    Args:
      threshold: largest |sum| over the sum of absolute terms, in units of rounding.
    """

    threshold: float = 100.0

    reads: ClassVar = (LAYERS,)
    price: ClassVar = "one pass over the gradients of attention's scores"

    def observe(self, layer: object, passed: LayerPass) -> tf.Tensor | None:
        if not isinstance(layer, CausalSoftmax):
            return None
        (dx,) = passed.gradients
        y, dy = widened(passed.result), widened(passed.given)
        # The first key of all has no other, and its gradient is rounding alone.
        scale = tf.reduce_sum(tf.abs(widened(dx)), -1) + tf.reduce_sum(
            tf.abs(y * dy), -1
        )
        return vanishing(dx, [-1], scale)

    def score(
        self, signals: Signals, memory: Any, network: Network
    ) -> tuple[tf.Tensor, Any]:
        return _worst(self, signals), memory


@dataclasses.dataclass(frozen=True)
class LogitZeroSums(Detector):
    """Rows of the gradient of the logits, which sum to zero.

    Args:
      threshold: largest |sum| over the sum of absolute terms, in units of rounding.
    """

    threshold: float = 100.0

    reads: ClassVar = (LAYERS,)
    price: ClassVar = "one pass over the gradients of the logits"

    def observe(self, layer: object, passed: LayerPass) -> tf.Tensor | None:
        if not isinstance(layer, LossPasses):
            return None
        dlogits = passed.gradients[0]
        # A sure right answer leaves rounding of 1 / count; that is the scale.
        each = tf.abs(widened(passed.given)) / layer.count
        scale = tf.reduce_sum(tf.abs(widened(dlogits)), -1) + each
        return vanishing(dlogits, [-1], scale)

    def score(
        self, signals: Signals, memory: Any, network: Network
    ) -> tuple[tf.Tensor, Any]:
        return _worst(self, signals), memory


@dataclasses.dataclass(frozen=True)
class AttentionColumnSums(Detector):
    """Sums over tokens: of the gradient of attention's values, and of its result.

    They are equal, as rows of the probabilities sum to 1.

    Args:
      threshold: largest difference over the sum of absolute terms, in units of
        rounding.

    Source: AEGIS (OSDI 2026).
    """

    threshold: float = 100.0

    reads: ClassVar = (LAYERS,)
    price: ClassVar = "one pass over the gradients of attention's values and result"

    def observe(self, layer: object, passed: LayerPass) -> tf.Tensor | None:
        if not isinstance(layer, AttentionContext):
            return None
        terms = tf.concat([passed.gradients[1], -passed.given], 1)
        return _rows(terms, [1])

    def score(
        self, signals: Signals, memory: Any, network: Network
    ) -> tuple[tf.Tensor, Any]:
        return _worst(self, signals), memory


@dataclasses.dataclass(frozen=True)
class LinearProducts(Detector):
    """Products <w, dW>, <y, dy> and <x, dX> of linear layers, which are equal.

    For each output channel of a dense, convolution or depthwise layer <w, dW> is the
    sum of y * dy; for each example <x, dX> is. For attention's scores queries stand for
    x. In front of a batch normalisation <w, dW> would vanish but for its epsilon, which
    is not small: see docs/detectors.md.

    Args:
      threshold: largest difference over the sum of |y * dy|, in units of rounding.
    """

    threshold: float = 300.0

    reads: ClassVar = (LAYERS,)
    price: ClassVar = "three products of operands, results and their gradients"

    def observe(self, layer: object, passed: LayerPass) -> tf.Tensor | None:
        if not isinstance(layer, _LINEAR):
            return None
        x, w = map(widened, passed.inputs[:2])
        dx, dw = passed.gradients[:2]
        product = widened(passed.result) * widened(passed.given)
        unit = rounding(passed.result.dtype)
        found = []
        if dx is not None:
            found.append(_apart(x * widened(dx), product, 0))
        if not isinstance(layer, AttentionScores):
            last = product.shape.rank - 1
            terms = w * widened(dw)
            if isinstance(layer, DepthwiseConv2D):
                terms = tf.squeeze(terms, -1)
            found.append(_apart(terms, product, last))
        return tf.reduce_max(tf.stack(found)) / unit if found else None

    def score(
        self, signals: Signals, memory: Any, network: Network
    ) -> tuple[tf.Tensor, Any]:
        return _worst(self, signals), memory


def _apart(terms: tf.Tensor, others: tf.Tensor, axis: int) -> tf.Tensor:
    """Return the largest difference of two sums, relative to all absolute terms.

    Args:
      terms: summed over all axes but their first or last.
      others: the same.
      axis: of the others that is kept; 0 means the first of both, else the last.
    """

    def summed(x: tf.Tensor) -> tf.Tensor:
        kept = 0 if axis == 0 else x.shape.rank - 1
        return tf.reduce_sum(x, [a for a in range(x.shape.rank) if a != kept])

    total = tf.abs(summed(terms) - summed(others))
    scale = summed(tf.abs(terms)) + summed(tf.abs(others))
    share = tf.math.divide_no_nan(total, scale)
    share = tf.where(tf.math.is_finite(total), share, float("inf"))
    return tf.reduce_max(tf.cast(share, tf.float32))
