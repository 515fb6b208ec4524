# SPDX-License-Identifier: Apache-2.0
"""A model without its handwritten backward passes, for TensorFlow to differentiate.

Every layer is replaced by a wrapper that calls only the layer's `forward`, outside
`tf.custom_gradient` and without fault sites. What is differentiated is thus the forward
pass that training runs, op by op, by the gradients that TensorFlow has for its own ops.
"""

import dataclasses
from collections.abc import Iterator

import tensorflow as tf

from tpufi.layers import Layer, Node, Run
from tpufi.layers.layer import Shape


@dataclasses.dataclass(frozen=True)
class ForwardOnly(Node):
    """A layer without its handwritten backward pass.

    Args:
      layer: the layer.
    """

    layer: Layer

    def output_shape(self, shape: Shape) -> Shape:
        return self.layer.output_shape(shape)

    def layers(self, shape: Shape) -> Iterator[tuple[Layer, Shape]]:
        yield from self.layer.layers(shape)

    def __call__(self, x: tf.Tensor, run: Run, *others: tf.Tensor) -> tf.Tensor:
        names = [w.name for w in self.layer.parameters(tuple(x.shape[1:]))]
        own = [run.parameters[name] for name in names]
        sites = run.context.layer(self.layer.name)
        y, _saved = self.layer.forward(sites, run, x, *others, *own)
        return y


def without_backward(node: Node) -> Node:
    """Return the same model with every layer wrapped in `ForwardOnly`.

    Args:
      node: a layer, or a composition: a frozen dataclass whose parts are fields, alone
        or in tuples.

    Raises:
      TypeError: a composition has no parts, so that its layers cannot be found.
    """
    if isinstance(node, Layer):
        return ForwardOnly(node)
    parts = {
        field.name: _replaced(getattr(node, field.name))
        for field in dataclasses.fields(node)
        if field.init and _holds_nodes(getattr(node, field.name))
    }
    if not parts and next(node.layers((1, 1, 1)), None) is not None:
        raise TypeError(f"the layers of {type(node).__name__} are not in its fields")
    return dataclasses.replace(node, **parts)


def _holds_nodes(value: object) -> bool:
    if isinstance(value, tuple):
        return any(isinstance(part, Node) for part in value)
    return isinstance(value, Node)


def _replaced(value: Node | tuple) -> Node | tuple:
    if isinstance(value, tuple):
        return tuple(without_backward(part) for part in value)
    return without_backward(value)
