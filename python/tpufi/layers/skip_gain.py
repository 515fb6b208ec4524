# SPDX-License-Identifier: Apache-2.0
"""Skip gain: one trained number that opens a residual branch."""

import dataclasses

import tensorflow as tf

from tpufi.layers import initializers
from tpufi.layers.context import LayerSites
from tpufi.layers.layer import Layer, Run, Shape, Weight
from tpufi.site_table import Site


@dataclasses.dataclass(frozen=True)
class SkipGain(Layer):
    """Multiply each element by one trained number, at first 0.

    A network whose residual branches end in it starts as its shortcuts alone.

    Args:
      name: layer name.

    Source: De and Smith 2020.
    """

    name: str

    def output_shape(self, shape: Shape) -> Shape:
        return shape

    def parameters(self, shape: Shape) -> tuple[Weight, ...]:
        return (Weight(f"{self.name}/gain", (), initializers.zeros),)

    def sites(self, shape: Shape, batch: int, dtype: str) -> tuple[Site, ...]:
        image = (batch, *shape)
        shapes = {
            ("forward", "input"): image,
            ("forward", "weight"): (),
            ("forward", "output"): image,
            ("grad_in", "input"): image,
            ("grad_in", "weight"): (),
            ("grad_in", "output"): image,
            ("grad_wt", "input"): image,
            ("grad_wt", "weight"): image,
            ("grad_wt", "output"): (),
        }
        return tuple(Site(self.name, *key, s, dtype) for key, s in shapes.items())

    def infer(self, run: Run, x: tf.Tensor, gain: tf.Tensor) -> tf.Tensor:
        return x * gain

    def forward(
        self, sites: LayerSites, run: Run, x: tf.Tensor, gain: tf.Tensor
    ) -> tuple[tf.Tensor, tuple]:
        struck_x = sites.strike(x, "forward", "input")
        struck_gain = sites.strike(gain, "forward", "weight")
        y = sites.strike(struck_x * struck_gain, "forward", "output")
        return y, (x, gain)

    def backward(
        self, sites: LayerSites, saved: tuple, dy: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        x, gain = saved
        struck_gain = sites.strike(gain, "grad_in", "weight")
        dx = sites.strike(dy, "grad_in", "input") * struck_gain
        struck_x = sites.strike(x, "grad_wt", "input")
        struck_dy = sites.strike(dy, "grad_wt", "weight")
        # Not a sum over products: XLA rounds it otherwise where fault ops are fused in.
        axes = "abcd"[: x.shape.rank]
        dgain = tf.einsum(f"{axes},{axes}->", struck_x, struck_dy)
        return (
            sites.strike(dx, "grad_in", "output"),
            sites.strike(dgain, "grad_wt", "output"),
        )
