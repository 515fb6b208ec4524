# SPDX-License-Identifier: Apache-2.0
"""A convolution and its bias, as one kernel where the program has no site between."""

import dataclasses
from collections.abc import Callable, Iterator

import tensorflow as tf

from tpufi.layers.bias import Bias
from tpufi.layers.conv2d import Conv2D
from tpufi.layers.layer import Layer, Node, Run, Shape, trained
from tpufi.layers.layer_sites import LayerSites, Strike


@dataclasses.dataclass(frozen=True)
class Biased(Node):
    """Convolve images and add a bias.

    Layers, sites and results are those of the two in a `Sequence`. TensorFlow's CPU
    kernel does both at once if nothing else reads the convolution's result, so in graph
    mode the two sites on it are struck apart: a fault there has the convolution redone
    alone, and the elements that come out otherwise replaced.

    Args:
      convolution: the first layer.
      bias: the second.

    Source: docs/decisions/0017-what-sites-cost-a-cpu.md.
    """

    convolution: Conv2D
    bias: Bias

    def output_shape(self, shape: Shape) -> Shape:
        return self.convolution.output_shape(shape)

    def layers(self, shape: Shape) -> Iterator[tuple[Layer, Shape]]:
        yield from self.convolution.layers(shape)
        yield from self.bias.layers(self.convolution.output_shape(shape))

    def __call__(self, x: tf.Tensor, run: Run) -> tf.Tensor:
        if not run.training or not run.hooks.branches:
            return self.bias(self.convolution(x, run), run)
        weights = [
            run.parameters[weight.name]
            for layer, shape in self.layers(tuple(x.shape[1:]))
            for weight in layer.parameters(shape)
        ]
        names = self.convolution.name, self.bias.name
        return trained(
            run, names, self._forward, self._backward, x, *weights, run.probe
        )

    def _forward(
        self,
        convolved: LayerSites,
        summed: LayerSites,
        run: Run,
        x: tf.Tensor,
        kernel: tf.Tensor,
        bias: tf.Tensor,
    ) -> tuple[tf.Tensor, tuple]:
        operands = {"input": x, "weight": kernel}
        product, add = self.convolution.product, self.bias.add
        struck = summed.strike(bias, "forward", "weight")
        y = convolved.operation(
            "forward", lambda x, kernel: add(product(x, kernel), struck), operands
        )

        def result() -> tf.Tensor:
            """Return the convolution's result; its operands' faults are in `y`, too."""
            again = LayerSites(run.hooks, self.convolution.name)
            return again.operation("forward", product, operands)

        def struck_result() -> tf.Tensor:
            again = LayerSites(run.hooks, self.convolution.name)
            return again.strike(result(), "forward", "output")

        def redo(operand: str) -> Callable[[Strike, tf.Tensor], tf.Tensor]:
            return lambda strike, z: add(strike(z, "forward", operand), struck)

        y = convolved.redo_if_struck(
            y, "forward", ["output"], redo("output"), shared=lambda: (result(),)
        )
        y = summed.redo_if_struck(
            y, "forward", ["input"], redo("input"), shared=lambda: (struck_result(),)
        )
        return summed.strike(y, "forward", "output"), (x, kernel)

    def _backward(
        self, convolved: LayerSites, summed: LayerSites, saved: tuple, dy: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        dy, dbias = self.bias.backward(summed, (), dy)
        return *self.convolution.backward(convolved, saved, dy), dbias
