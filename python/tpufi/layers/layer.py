# SPDX-License-Identifier: Apache-2.0
"""What a layer is, and how its handwritten backward pass enters the tape."""

import abc
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar, NamedTuple

import numpy as np
import tensorflow as tf

from tpufi.layers.accumulator import accumulator
from tpufi.layers.context import CLEAN, FaultContext, LayerSites
from tpufi.random import Key
from tpufi.site_table import Site

Shape = tuple[int, ...]
# By direction and operand.
SiteShapes = Mapping[tuple[str, str], Shape]


@dataclasses.dataclass(frozen=True)
class Weight:
    """A parameter (trained) or statistic (carried along) of a layer.

    Args:
      name: `layer/what`.
      shape: its shape.
      initial: makes the first value from the weight's own random key and its shape.
    """

    name: str
    shape: Shape
    initial: Callable[[Key, Shape], np.ndarray]


class LayerPass(NamedTuple):
    """What a layer read and made in both passes, faults included.

    Args:
      inputs: of the forward pass, parameters last.
      result: of the forward pass.
      given: gradient of the result.
      gradients: of the inputs; None of one that nothing reads.
    """

    inputs: tuple[tf.Tensor, ...]
    result: tf.Tensor
    given: tf.Tensor
    gradients: tuple[tf.Tensor | None, ...]


@dataclasses.dataclass(eq=False)
class Run:
    """One traced pass of a model over the images of one replica.

    Args:
      parameters: name -> tensor.
      statistics: name -> tensor, e.g. moving averages.
      training: False uses the moving statistics and no dropout.
      context: the fault operands; only used when training.
      probe: what `context.probe()` returns, whose gradient is the record; in a compiled
        program also the record of the forward passes so far, and the gradient of the
        first probe that of the backward passes.
      seed: uint32 [2], key of this (epoch, step, replica) for dropout.
      examples: the model's input, whose gradient nothing depends on.
      new_statistics: filled by the layers while they are applied.
      observe: called with each layer and its passes, once the backward pass has them;
        None: nobody looks.
    """

    parameters: dict[str, tf.Tensor]
    statistics: dict[str, tf.Tensor]
    training: bool = False
    context: FaultContext = CLEAN
    probe: tf.Tensor | None = None
    seed: tf.Tensor | None = None
    examples: tf.Tensor | None = None
    new_statistics: dict[str, tf.Tensor] = dataclasses.field(default_factory=dict)
    observe: "Callable[[Passes, LayerPass], None] | None" = None


class Node(abc.ABC):
    """A part of a model: a layer or a composition of parts."""

    @abc.abstractmethod
    def output_shape(self, shape: Shape) -> Shape:
        """Return the output shape for an input shape, both without the batch axis."""

    @abc.abstractmethod
    def layers(self, shape: Shape) -> Iterator[tuple["Layer", Shape]]:
        """Yield every layer with its input shape, in the order of creation."""

    @abc.abstractmethod
    def __call__(self, x: tf.Tensor, run: Run) -> tf.Tensor:
        """Return the output of this part for a batch."""


class Passes(abc.ABC):
    """A handwritten forward pass, and its backward pass."""

    name: str

    @abc.abstractmethod
    def forward(
        self, sites: LayerSites, run: Run, x: tf.Tensor, *others: tf.Tensor
    ) -> tuple[tf.Tensor, tuple]:
        """Return the output and whatever `backward` needs."""

    @abc.abstractmethod
    def backward(
        self, sites: LayerSites, saved: tuple, dy: tf.Tensor
    ) -> tuple[tf.Tensor | None, ...]:
        """Return the gradients of the inputs and of each parameter."""


class Layer(Node, Passes):
    """One operation with parameters, sites, a forward and a backward pass.

    Subclasses are frozen dataclasses with a field `name` and are final. A layer of
    several inputs has the others behind the first wherever that appears: in its call,
    in `forward` and `infer`, and among the gradients; their shapes follow from the
    first one's.
    """

    def output_shape(self, shape: Shape) -> Shape:
        return shape

    def parameters(self, shape: Shape) -> tuple[Weight, ...]:
        """Return the trained weights, in order, for an input shape."""
        del shape
        return ()

    def statistics(self, shape: Shape) -> tuple[Weight, ...]:
        """Return the weights that are carried along but not trained."""
        del shape
        return ()

    def macs(self, shape: Shape, batch: int) -> int:
        """Return the multiply-accumulates of the forward pass of one replica.

        Each gradient of a layer that multiplies takes as many again. 0 for layers that
        only work element by element.
        """
        del shape, batch
        return 0

    # Operands of sites whose type is the accumulator of the layer's type.
    widened_sites: ClassVar[tuple[str, ...]] = ()

    def site_shapes(self, shape: Shape, batch: int) -> SiteShapes:
        """Return the shapes of the fault sites, by direction and operand, in order.

        Here those of a layer without parameters: input and result, of either direction.

        Args:
          shape: of the input, without the batch axis.
          batch: examples of one replica.
        """
        given, result = (batch, *shape), (batch, *self.output_shape(shape))
        return {
            ("forward", "input"): given,
            ("forward", "output"): result,
            ("grad_in", "input"): result,
            ("grad_in", "output"): given,
        }

    def sites(self, shape: Shape, batch: int, dtype: str) -> tuple[Site, ...]:
        """Return the fault sites for an input shape and a per-replica batch."""
        types = dict.fromkeys(self.widened_sites, accumulator(dtype))
        return tuple(
            Site(self.name, direction, operand, size, types.get(operand, dtype))
            for (direction, operand), size in self.site_shapes(shape, batch).items()
        )

    def infer(self, run: Run, x: tf.Tensor, *others: tf.Tensor) -> tf.Tensor:
        """Return the output outside training, without faults; here as in training.

        Args:
          run: the traced pass.
          x: the input.
          *others: other inputs, and the parameters.
        """
        y, _ = self.forward(CLEAN.layer(self.name), run, x, *others)
        return y

    def layers(self, shape: Shape) -> Iterator[tuple["Layer", Shape]]:
        yield self, shape

    def __call__(self, x: tf.Tensor, run: Run, *others: tf.Tensor) -> tf.Tensor:
        shape = tuple(x.shape[1:])
        parameters = [run.parameters[w.name] for w in self.parameters(shape)]
        if not run.training:
            return self.infer(run, x, *others, *parameters)
        return trained(self, run, x, *others, *parameters)


def trained(layer: Passes, run: Run, *inputs: tf.Tensor) -> tf.Tensor:
    """Return what handwritten passes make of inputs, and tell the tape.

    Args:
      layer: the passes.
      run: the traced pass of the model.
      *inputs: what the forward pass takes.
    """
    input_read = inputs[0] is not run.examples
    probe = () if run.probe is None else (run.probe,)

    # If records go from layer to layer, the tape adds gradients of one tensor in
    # another order; in graph mode an armed step is to have the bits of a clean one.
    hands_on = run.context.hands_on

    def forward(sites: LayerSites, *inputs: tf.Tensor) -> tuple[tf.Tensor, tuple, dict]:
        own = dataclasses.replace(run, new_statistics={})
        y, saved = layer.forward(sites, own, *inputs)
        return y, saved, own.new_statistics

    def backward(sites: LayerSites, saved: tuple, dy: tf.Tensor) -> tuple:
        gradients = layer.backward(sites, saved, dy)
        return gradients if input_read else (None, *gradients[1:])

    @tf.custom_gradient
    def differentiable(*given: tf.Tensor) -> tuple[tuple, Callable[..., tuple]]:
        own, so_far = given[: len(inputs)], given[len(inputs) :]
        ahead = run.context.layer(layer.name, so_far if hands_on else ())
        y, saved, statistics = ahead.whole_pass(forward, *own)
        run.new_statistics.update(statistics)

        def gradient(dy: tf.Tensor, *so_far: tf.Tensor) -> tuple:
            back = run.context.layer(layer.name, so_far, input_read)
            gradients = back.whole_pass(backward, back.kept(saved), dy)
            if run.observe is not None:
                run.observe(layer, LayerPass(own, y, dy, gradients))
            if hands_on:
                return *gradients, *back.records()
            return *gradients, *map(tf.add, ahead.records(), back.records())

        return (y, *(ahead.records() if hands_on else ())), gradient

    y, *records = differentiable(*inputs, *probe)
    if records:
        (run.probe,) = records
    return y
