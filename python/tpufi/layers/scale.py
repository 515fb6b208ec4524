# SPDX-License-Identifier: Apache-2.0
"""Products with a number: a fixed one, or a trained one that opens a branch."""

import dataclasses

import tensorflow as tf

from tpufi.layers import initializers
from tpufi.layers.context import LayerSites
from tpufi.layers.layer import Layer, Run, Shape, SiteShapes, Weight


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


@dataclasses.dataclass(frozen=True)
class SkipGain(Layer):
    """Multiply each element by one trained number, at first 0.

    A network whose residual branches end in it starts as its shortcuts alone.

    Args:
      name: layer name.

    Source: De and Smith 2020.
    """

    name: str

    def parameters(self, shape: Shape) -> tuple[Weight, ...]:
        return (Weight(f"{self.name}/gain", (), initializers.zeros),)

    def site_shapes(self, shape: Shape, batch: int) -> SiteShapes:
        image = (batch, *shape)
        return {
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

    def forward(
        self, sites: LayerSites, run: Run, x: tf.Tensor, gain: tf.Tensor
    ) -> tuple[tf.Tensor, tuple]:
        faulty_x = sites.inject(x, "forward", "input")
        faulty_gain = sites.inject(gain, "forward", "weight")
        y = sites.inject(faulty_x * faulty_gain, "forward", "output")
        return y, (x, gain)

    def backward(
        self, sites: LayerSites, saved: tuple, dy: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        x, gain = saved
        faulty_gain = sites.inject(gain, "grad_in", "weight")
        dx = sites.inject(dy, "grad_in", "input") * faulty_gain
        faulty_x = sites.inject(x, "grad_wt", "input")
        faulty_dy = sites.inject(dy, "grad_wt", "weight")
        # Not a sum over products: XLA rounds it otherwise where fault ops are fused in.
        axes = "abcd"[: x.shape.rank]
        dgain = tf.einsum(f"{axes},{axes}->", faulty_x, faulty_dy)
        return (
            sites.inject(dx, "grad_in", "output"),
            sites.inject(dgain, "grad_wt", "output"),
        )
