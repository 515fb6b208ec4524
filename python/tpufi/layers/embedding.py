# SPDX-License-Identifier: Apache-2.0
"""Vectors of tokens and of their positions."""

import dataclasses

import tensorflow as tf

from tpufi.layers import initializers
from tpufi.layers.accumulator import widened
from tpufi.layers.context import LayerSites
from tpufi.layers.layer import Layer, Run, Shape, SiteShapes, Weight


@dataclasses.dataclass(frozen=True)
class Embedding(Layer):
    """Look up the vector of each token; tokens are int32, 0 to vocabulary - 1.

    Tokens have no gradient and are no site. The gradient of the table adds up what
    comes back for each token, row by row, so that an error stays in its token's row.

    Args:
      name: layer name.
      vocabulary: number of different tokens, >= 1.
      width: length of a vector, >= 1.
    """

    name: str
    vocabulary: int
    width: int

    def __post_init__(self) -> None:
        for what in ("vocabulary", "width"):
            if getattr(self, what) < 1:
                raise ValueError(f"{what} {getattr(self, what)} is not positive")

    def output_shape(self, shape: Shape) -> Shape:
        return *shape, self.width

    def parameters(self, shape: Shape) -> tuple[Weight, ...]:
        table = (self.vocabulary, self.width)
        return (Weight(f"{self.name}/table", table, initializers.small_normal),)

    def site_shapes(self, shape: Shape, batch: int) -> SiteShapes:
        vectors, table = (batch, *shape, self.width), (self.vocabulary, self.width)
        return {
            ("forward", "weight"): table,
            ("forward", "output"): vectors,
            ("grad_wt", "input"): vectors,
            ("grad_wt", "output"): table,
        }

    def forward(
        self, sites: LayerSites, run: Run, tokens: tf.Tensor, table: tf.Tensor
    ) -> tuple[tf.Tensor, tuple]:
        vectors = tf.gather(sites.inject(table, "forward", "weight"), tokens)
        return sites.inject(vectors, "forward", "output"), (tokens,)

    def backward(
        self, sites: LayerSites, saved: tuple, dy: tf.Tensor
    ) -> tuple[None, tf.Tensor]:
        (tokens,) = saved
        dy = sites.inject(dy, "grad_wt", "input")
        # Not a product with one-hot rows, whose zeros make NaN of any Inf elsewhere.
        wide = widened(dy)
        dtable = tf.math.unsorted_segment_sum(wide, tokens, self.vocabulary)
        dtable = tf.cast(dtable, dy.dtype)
        return None, sites.inject(dtable, "grad_wt", "output")


@dataclasses.dataclass(frozen=True)
class PositionEmbedding(Layer):
    """Add the same trained table, (context, width), to every example.

    Args:
      name: layer name.
    """

    name: str

    def parameters(self, shape: Shape) -> tuple[Weight, ...]:
        return (Weight(f"{self.name}/table", shape, initializers.small_normal),)

    def site_shapes(self, shape: Shape, batch: int) -> SiteShapes:
        vectors = (batch, *shape)
        return {
            ("forward", "input"): vectors,
            ("forward", "weight"): shape,
            ("forward", "output"): vectors,
            ("grad_in", "output"): vectors,
            ("grad_wt", "input"): vectors,
            ("grad_wt", "output"): shape,
        }

    def forward(
        self, sites: LayerSites, run: Run, x: tf.Tensor, table: tf.Tensor
    ) -> tuple[tf.Tensor, tuple]:
        x = sites.inject(x, "forward", "input")
        table = sites.inject(table, "forward", "weight")
        return sites.inject(x + table, "forward", "output"), ()

    def backward(
        self, sites: LayerSites, saved: tuple, dy: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        dtable = tf.reduce_sum(sites.inject(dy, "grad_wt", "input"), 0)
        dtable = sites.inject(dtable, "grad_wt", "output")
        return sites.inject(dy, "grad_in", "output"), dtable
