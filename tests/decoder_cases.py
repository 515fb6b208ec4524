# SPDX-License-Identifier: Apache-2.0
"""Layers of a decoder that need a wrapper to look like a layer of one input."""

import dataclasses

import tensorflow as tf

from tpufi.layers import (
    AttentionContext,
    AttentionScores,
    Embedding,
    Run,
    Weight,
    initializers,
)
from tpufi.site_table import Site


@dataclasses.dataclass(frozen=True)
class WithKeys:
    """The scores with the keys as a weight."""

    layer: AttentionScores
    batch: int

    def parameters(self, shape: tuple) -> tuple[Weight, ...]:
        keys = (self.batch, *shape)
        return (Weight(f"{self.layer.name}/second", keys, initializers.ones),)

    def statistics(self, shape: tuple) -> tuple:
        return ()

    def output_shape(self, shape: tuple) -> tuple:
        return self.layer.output_shape(shape)

    def sites(self, shape: tuple, batch: int, dtype: str) -> tuple[Site, ...]:
        return self.layer.sites(shape, batch, dtype)

    def __call__(self, x: tf.Tensor, run: Run) -> tf.Tensor:
        return self.layer(x, run, run.parameters[f"{self.layer.name}/second"])


@dataclasses.dataclass(frozen=True)
class WithValues(WithKeys):
    """The context with the values as a weight."""

    layer: AttentionContext

    def parameters(self, shape: tuple) -> tuple[Weight, ...]:
        return super().parameters(self.layer.output_shape(shape))


@dataclasses.dataclass(frozen=True)
class LookedUp:
    """The embedding of fixed tokens, with the table as its input.

    As many rows of tokens as there are vectors, so that the table's first axis passes
    for the batch axis.
    """

    layer: Embedding
    tokens: tuple[tuple[int, ...], ...]

    def parameters(self, shape: tuple) -> tuple:
        return ()

    def statistics(self, shape: tuple) -> tuple:
        return ()

    def output_shape(self, shape: tuple) -> tuple:
        return len(self.tokens[0]), *shape

    def sites(self, shape: tuple, batch: int, dtype: str) -> tuple[Site, ...]:
        return self.layer.sites((len(self.tokens[0]),), len(self.tokens), dtype)

    def __call__(self, x: tf.Tensor, run: Run) -> tf.Tensor:
        table = {f"{self.layer.name}/table": x}
        tokens = tf.constant(self.tokens, tf.int32)
        inner = dataclasses.replace(run, parameters=table)
        y = self.layer(tokens, inner)
        run.probe = inner.probe
        return y


# The layer that each wrapper stands for.
WRAPPED = {
    WithKeys: AttentionScores,
    WithValues: AttentionContext,
    LookedUp: Embedding,
}
