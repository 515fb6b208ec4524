# SPDX-License-Identifier: Apache-2.0
"""Multiplication by a constant."""

import dataclasses

import tensorflow as tf

from tpufi.layers.context import LayerSites
from tpufi.layers.layer import Layer, Run


@dataclasses.dataclass(frozen=True)
class Scale(Layer):
    """Multiply each element by the same number.

    Args:
      name: layer name.
      factor: the number.
    """

    name: str
    factor: float

    def forward(
        self, sites: LayerSites, run: Run, x: tf.Tensor
    ) -> tuple[tf.Tensor, tuple]:
        x = sites.inject(x, "forward", "input")
        return sites.inject(x * self.factor, "forward", "output"), ()

    def backward(
        self, sites: LayerSites, saved: tuple, dy: tf.Tensor
    ) -> tuple[tf.Tensor]:
        dy = sites.inject(dy, "grad_in", "input")
        return (sites.inject(dy * self.factor, "grad_in", "output"),)
