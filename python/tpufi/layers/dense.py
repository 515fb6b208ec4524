# SPDX-License-Identifier: Apache-2.0
"""Fully connected layer."""

import dataclasses
import math

import tensorflow as tf

from tpufi.layers import initializers
from tpufi.layers.context import LayerSites
from tpufi.layers.layer import Layer, Run, Shape, SiteShapes, Weight
from tpufi.layers.matrix_view import Layout, PlainSide, plain_view


@dataclasses.dataclass(frozen=True)
class Dense(Layer):
    """Multiply vectors (last axis) by a matrix; no bias.

    An example is one vector, or several, such as one for each token. `grad_in/weight`
    is the kernel transposed, (units, inputs); `grad_wt/input` is the layer input
    transposed, (inputs, batch) or (inputs, batch, tokens).

    Args:
      name: layer name.
      units: outputs.
    """

    name: str
    units: int

    def output_shape(self, shape: Shape) -> Shape:
        return *shape[:-1], self.units

    def parameters(self, shape: Shape) -> tuple[Weight, ...]:
        kernel = (shape[-1], self.units)
        return (Weight(f"{self.name}/kernel", kernel, initializers.glorot_normal),)

    def macs(self, shape: Shape, batch: int) -> int:
        return batch * math.prod(shape) * self.units

    def site_shapes(self, shape: Shape, batch: int) -> SiteShapes:
        *tokens, width = shape
        inputs, outputs = (batch, *shape), (batch, *tokens, self.units)
        return {
            ("forward", "input"): inputs,
            ("forward", "weight"): (width, self.units),
            ("forward", "output"): outputs,
            ("grad_in", "input"): outputs,
            ("grad_in", "weight"): (self.units, width),
            ("grad_in", "output"): inputs,
            ("grad_wt", "input"): (width, batch, *tokens),
            ("grad_wt", "weight"): outputs,
            ("grad_wt", "output"): (width, self.units),
        }

    def forward(
        self, sites: LayerSites, run: Run, x: tf.Tensor, kernel: tf.Tensor
    ) -> tuple[tf.Tensor, tuple]:
        y = sites.product(
            "forward",
            _product,
            {"input": x, "weight": kernel},
            view=lambda: plain_view(
                PlainSide(_rows(x)),
                PlainSide(kernel, transposed=True),
                (*x.shape[:-1], self.units),
                Layout(1, self.units),
            ),
        )
        return y, (x, kernel)

    def backward(
        self, sites: LayerSites, saved: tuple, dy: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        x, kernel = saved
        # Operands are transposed views of x and kernel, so only the order of the
        # positions changes, not the numbers.
        dx = sites.product(
            "grad_in",
            lambda dy, kernel: _product(dy, kernel, transpose_b=True),
            {"input": dy, "weight": kernel},
            {"weight": (1, 0)},
            view=lambda: plain_view(
                PlainSide(_rows(dy)),
                PlainSide(kernel),
                x.shape,
                Layout(self.units, 1),
            ),
        )
        *others, last = range(x.shape.rank)
        dkernel = sites.product(
            "grad_wt",
            lambda x, dy: tf.matmul(_rows(x), _rows(dy), transpose_a=True),
            {"input": x, "weight": dy},
            {"input": (last, *others)},
            view=lambda: plain_view(
                PlainSide(_rows(x), transposed=True),
                PlainSide(_rows(dy), transposed=True),
                kernel.shape,
                Layout(1, self.units),
            ),
        )
        return dx, dkernel


def _rows(x: tf.Tensor) -> tf.Tensor:
    """Return all vectors of `x` as the rows of one matrix."""
    return x if x.shape.rank == 2 else tf.reshape(x, (-1, x.shape[-1]))


def _product(x: tf.Tensor, matrix: tf.Tensor, **how: bool) -> tf.Tensor:
    """Return `x` with each of its vectors multiplied by `matrix`."""
    y = tf.matmul(_rows(x), matrix, **how)
    return y if x.shape.rank == 2 else tf.reshape(y, (*x.shape[:-1], y.shape[-1]))
