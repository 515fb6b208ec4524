# SPDX-License-Identifier: Apache-2.0
"""Gates: channels scaled by what a branch makes of the same tensor."""

import dataclasses
from collections.abc import Iterator

import tensorflow as tf

from tpufi.layers.context import LayerSites
from tpufi.layers.layer import Layer, Node, Run, Shape, SiteShapes


@dataclasses.dataclass(frozen=True)
class ChannelProduct(Layer):
    """Multiply each channel of each image by a separate number.

    The second input is the gate, [batch, 1, 1, channels]. `grad_in/input` is the
    incoming gradient, read once for both results: `output`, the gradient of the first
    input, and `gate_output`, that of the gate. Both read the correct other factor
    again. The gradient through the branch is added after these sites.

    Args:
      name: layer name.
    """

    name: str

    def site_shapes(self, shape: Shape, batch: int) -> SiteShapes:
        image, gate = (batch, *shape), (batch, 1, 1, shape[-1])
        return {
            ("forward", "input"): image,
            ("forward", "gate"): gate,
            ("forward", "output"): image,
            ("grad_in", "input"): image,
            ("grad_in", "output"): image,
            ("grad_in", "gate_output"): gate,
        }

    def forward(
        self, sites: LayerSites, run: Run, x: tf.Tensor, gate: tf.Tensor
    ) -> tuple[tf.Tensor, tuple]:
        faulty_x = sites.inject(x, "forward", "input")
        faulty_gate = sites.inject(gate, "forward", "gate")
        return sites.inject(faulty_x * faulty_gate, "forward", "output"), (x, gate)

    def backward(
        self, sites: LayerSites, saved: tuple, dy: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        x, gate = saved
        dy = sites.inject(dy, "grad_in", "input")
        dgate = tf.reduce_sum(dy * x, [1, 2], keepdims=True)
        return (
            sites.inject(dy * gate, "grad_in", "output"),
            sites.inject(dgate, "grad_in", "gate_output"),
        )


@dataclasses.dataclass(frozen=True)
class Gate(Node):
    """`x * branch(x)`, a number per channel; squeeze-excite with a suitable branch.

    Args:
      branch: maps [batch, height, width, channels] to [batch, 1, 1, channels].
      product: the layer that multiplies.

    Source: Hu et al. 2018.
    """

    branch: Node
    product: ChannelProduct

    def output_shape(self, shape: Shape) -> Shape:
        gate = self.branch.output_shape(shape)
        if gate != (1, 1, shape[-1]):
            raise ValueError(f"a gate of {shape} is {(1, 1, shape[-1])}, not {gate}")
        return shape

    def layers(self, shape: Shape) -> Iterator[tuple[Layer, Shape]]:
        yield from self.branch.layers(shape)
        yield from self.product.layers(shape)

    def __call__(self, x: tf.Tensor, run: Run) -> tf.Tensor:
        return self.product(x, run, self.branch(x, run))
