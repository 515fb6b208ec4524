# SPDX-License-Identifier: Apache-2.0
"""Bounds of a model's values that follow from its weights, layer by layer.

A normalised value is at most 20 deviations; what follows it is at most that times sums
of absolute weights. From these the variances of a batch have bounds.
"""

import dataclasses
import functools
from collections.abc import Callable

import tensorflow as tf

from tpufi.detect.signals import Tensors
from tpufi.layers import (
    GELU,
    AveragePooling,
    BatchNorm,
    Bias,
    Concatenation,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    GlobalAveragePooling,
    LayerNorm,
    MaxPooling,
    Node,
    ReLU,
    Residual,
    Scale,
    Sequence,
    Sigmoid,
    SkipGain,
    Swish,
    ZeroPadding,
)
from tpufi.workload import Workload

_DEVIATIONS = 20.0
_SHRINKS = (
    *(ReLU, GELU, Swish, MaxPooling, AveragePooling, GlobalAveragePooling),
    *(ZeroPadding, Sigmoid),
)


def has_variances(workload: Workload) -> bool:
    """Return whether a workload carries moving variances along."""
    return any(isinstance(layer, BatchNorm) for layer, _ in workload.layers)


def variance_bounds(workload: Workload) -> Callable[[Tensors, tf.Tensor], Tensors]:
    """Return what makes bounds of the moving variances of a workload.

    It takes the weights by name and the largest absolute value of the examples. A bound
    is Inf behind a layer whose values have none that is known.

    Args:
      workload: the workload.
    """

    def bounds(weights: Tensors, largest_input: tf.Tensor) -> Tensors:
        values = _Values(weights, {})
        values.after(workload.model, largest_input)
        return values.variances

    return bounds


@dataclasses.dataclass(frozen=True, eq=False)
class _Values:
    """Largest absolute values behind the parts of a model.

    Args:
      weights: by name.
      variances: bounds of moving variances so far, by statistic; is filled.
    """

    weights: Tensors
    variances: dict[str, tf.Tensor]

    def after(self, part: Node, x: tf.Tensor) -> tf.Tensor:
        """Return the bound behind a part, by that before it, a float32 scalar."""
        match part:
            case Sequence():
                return functools.reduce(lambda x, p: self.after(p, x), part.parts, x)
            case Residual():
                return self.after(part.main, x) + self.after(part.shortcut, x)
            case Concatenation():
                return tf.maximum(x, self.after(part.branch, x))
            case Conv2D() | Dense():
                kernel = self._of(part.name, "kernel")
                axes = list(range(kernel.shape.rank - 1))
                return x * tf.reduce_max(tf.reduce_sum(kernel, axes))
            case DepthwiseConv2D():
                kernel = self._of(part.name, "kernel")
                return x * tf.reduce_max(tf.reduce_sum(kernel, [0, 1]))
            case Bias():
                return x + tf.reduce_max(self._of(part.name, "bias"))
            case BatchNorm():
                self.variances[f"{part.name}/moving_variance"] = tf.square(x)
                return self._normalised(part.name)
            case LayerNorm():
                return self._normalised(part.name)
            case Scale():
                return x * abs(part.factor)
            case SkipGain():
                return x * self._of(part.name, "gain")
            case Dropout():
                return x / (1 - part.rate)
            case _ if isinstance(part, _SHRINKS):
                return x
        return tf.constant(float("inf"))

    def _normalised(self, name: str) -> tf.Tensor:
        gamma, beta = self._of(name, "gamma"), self._of(name, "beta")
        return _DEVIATIONS * tf.reduce_max(gamma) + tf.reduce_max(beta)

    def _of(self, layer: str, what: str) -> tf.Tensor:
        return tf.abs(tf.cast(self.weights[f"{layer}/{what}"], tf.float32))
