# SPDX-License-Identifier: Apache-2.0
"""Compositions of layers; the tape connects their backward passes."""

import dataclasses
from collections.abc import Iterator

import tensorflow as tf

from tpufi.layers.layer import Layer, Node, Run, Shape


@dataclasses.dataclass(frozen=True)
class Sequence(Node):
    """Parts applied one after the other.

    Args:
      parts: the parts, first to last.
    """

    parts: tuple[Node, ...]

    def output_shape(self, shape: Shape) -> Shape:
        for part in self.parts:
            shape = part.output_shape(shape)
        return shape

    def layers(self, shape: Shape) -> Iterator[tuple[Layer, Shape]]:
        for part in self.parts:
            yield from part.layers(shape)
            shape = part.output_shape(shape)

    def __call__(self, x: tf.Tensor, run: Run) -> tf.Tensor:
        for part in self.parts:
            x = part(x, run)
        return x


@dataclasses.dataclass(frozen=True)
class Residual(Node):
    """`main(x) + shortcut(x)`.

    Args:
      main: the residual branch.
      shortcut: the other branch; an empty `Sequence` is the identity.
    """

    main: Node
    shortcut: Node = Sequence(())

    def output_shape(self, shape: Shape) -> Shape:
        main = self.main.output_shape(shape)
        shortcut = self.shortcut.output_shape(shape)
        if main != shortcut:
            raise ValueError(f"branches of a residual differ: {main} and {shortcut}")
        return main

    def layers(self, shape: Shape) -> Iterator[tuple[Layer, Shape]]:
        yield from self.main.layers(shape)
        yield from self.shortcut.layers(shape)

    def __call__(self, x: tf.Tensor, run: Run) -> tf.Tensor:
        return self.main(x, run) + self.shortcut(x, run)


@dataclasses.dataclass(frozen=True)
class Concatenation(Node):
    """`x` with the channels of `branch(x)` behind its own.

    Args:
      branch: makes the new channels; keeps the number of pixels.
    """

    branch: Node

    def output_shape(self, shape: Shape) -> Shape:
        new = self.branch.output_shape(shape)
        if new[:-1] != shape[:-1]:
            raise ValueError(f"pixels of a concatenation differ: {shape} and {new}")
        return *shape[:-1], shape[-1] + new[-1]

    def layers(self, shape: Shape) -> Iterator[tuple[Layer, Shape]]:
        yield from self.branch.layers(shape)

    def __call__(self, x: tf.Tensor, run: Run) -> tf.Tensor:
        return tf.concat([x, self.branch(x, run)], -1)
