# SPDX-License-Identifier: Apache-2.0
"""Fully connected layer."""

import dataclasses

import tensorflow as tf

from tpufi.layers import initializers
from tpufi.layers.hooks import LayerSites
from tpufi.layers.layer import Layer, Run, Shape, Weight
from tpufi.sites import Site


@dataclasses.dataclass(frozen=True)
class Dense(Layer):
    """Multiply vectors by a matrix; no bias.

    Args:
      name: layer name.
      units: outputs.
    """

    name: str
    units: int

    def output_shape(self, shape: Shape) -> Shape:
        return (self.units,)

    def parameters(self, shape: Shape) -> tuple[Weight, ...]:
        kernel = (shape[-1], self.units)
        return (Weight(f"{self.name}/kernel", kernel, initializers.glorot_normal),)

    def macs(self, shape: Shape, batch: int) -> int:
        return batch * shape[-1] * self.units

    def sites(self, shape: Shape, batch: int, dtype: str) -> tuple[Site, ...]:
        inputs, outputs = (batch, *shape), (batch, self.units)
        shapes = {
            ("forward", "input"): inputs,
            ("forward", "weight"): (*shape, self.units),
            ("forward", "output"): outputs,
            ("grad_in", "input"): outputs,
            ("grad_in", "weight"): (self.units, *shape),
            ("grad_in", "output"): inputs,
            ("grad_wt", "input"): (*shape, batch),
            ("grad_wt", "weight"): outputs,
            ("grad_wt", "output"): (*shape, self.units),
        }
        return tuple(Site(self.name, *key, s, dtype) for key, s in shapes.items())

    def infer(self, run: Run, x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        return tf.matmul(x, kernel)

    def forward(
        self, sites: LayerSites, run: Run, x: tf.Tensor, kernel: tf.Tensor
    ) -> tuple[tf.Tensor, tuple]:
        struck_x = sites.strike(x, "forward", "input")
        struck_kernel = sites.strike(kernel, "forward", "weight")
        y = tf.matmul(struck_x, struck_kernel)
        return sites.strike(y, "forward", "output"), (x, kernel)

    def backward(
        self, sites: LayerSites, saved: tuple, dy: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        x, kernel = saved
        # Operands are transposed views of x and kernel, so only the order of the
        # positions changes, not the numbers.
        turned = sites.strike(kernel, "grad_in", "weight", perm=(1, 0))
        incoming = sites.strike(dy, "grad_in", "input")
        dx = tf.matmul(incoming, turned, transpose_b=True)
        dx = sites.strike(dx, "grad_in", "output")

        turned = sites.strike(x, "grad_wt", "input", perm=(1, 0))
        incoming = sites.strike(dy, "grad_wt", "weight")
        dkernel = tf.matmul(turned, incoming, transpose_a=True)
        return dx, sites.strike(dkernel, "grad_wt", "output")
