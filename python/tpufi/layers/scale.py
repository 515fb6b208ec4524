# SPDX-License-Identifier: Apache-2.0
"""Multiplication by a constant."""

import dataclasses

import tensorflow as tf

from tpufi.layers.hooks import LayerSites
from tpufi.layers.layer import Layer, Run, Shape
from tpufi.sites import Site


@dataclasses.dataclass(frozen=True)
class Scale(Layer):
    """Multiply each element by the same number.

    Args:
      name: layer name.
      factor: the number.
    """

    name: str
    factor: float

    def output_shape(self, shape: Shape) -> Shape:
        return shape

    def sites(self, shape: Shape, batch: int, dtype: str) -> tuple[Site, ...]:
        return tuple(
            Site(self.name, direction, operand, (batch, *shape), dtype)
            for direction in ("forward", "grad_in")
            for operand in ("input", "output")
        )

    def infer(self, run: Run, x: tf.Tensor) -> tf.Tensor:
        return x * self.factor

    def forward(
        self, sites: LayerSites, run: Run, x: tf.Tensor
    ) -> tuple[tf.Tensor, tuple]:
        x = sites.strike(x, "forward", "input")
        return sites.strike(x * self.factor, "forward", "output"), ()

    def backward(
        self, sites: LayerSites, saved: tuple, dy: tf.Tensor
    ) -> tuple[tf.Tensor]:
        dy = sites.strike(dy, "grad_in", "input")
        return (sites.strike(dy * self.factor, "grad_in", "output"),)
