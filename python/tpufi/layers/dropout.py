# SPDX-License-Identifier: Apache-2.0
"""Dropout whose mask is drawn once, saved, and read again by the backward pass."""

import dataclasses

import tensorflow as tf
from tensorflow.compiler.tf2xla.ops import gen_xla_ops

from tpufi.layers.context import LayerSites
from tpufi.layers.layer import Layer, Run, Shape, SiteShapes
from tpufi.ops import inject_random
from tpufi.random import derive


@dataclasses.dataclass(frozen=True)
class Dropout(Layer):
    """Set a random share of the elements to zero and scale up the others.

    The mask depends on the run's seed (of epoch, step and replica), the layer's name
    and the element's index only, never on the data: element i is kept if its 32 random
    bits are at least rate * 2**32.

    Args:
      name: layer name.
      rate: share of dropped elements, 0 < rate < 1.

    Source: Srivastava et al. 2014.
    """

    name: str
    rate: float

    def __post_init__(self) -> None:
        if not 0 < self.rate < 1:
            raise ValueError(f"dropout rate {self.rate} is not between 0 and 1")

    def site_shapes(self, shape: Shape, batch: int) -> SiteShapes:
        keys = (
            ("forward", "input"),
            ("forward", "mask"),
            ("forward", "output"),
            ("grad_in", "input"),
            ("grad_in", "output"),
        )
        return dict.fromkeys(keys, (batch, *shape))

    def infer(self, run: Run, x: tf.Tensor) -> tf.Tensor:
        return x

    def forward(
        self, sites: LayerSites, run: Run, x: tf.Tensor
    ) -> tuple[tf.Tensor, tuple]:
        x = sites.inject(x, "forward", "input")
        mask = sites.inject(self._mask(run, x), "forward", "mask")
        return sites.inject(x * mask, "forward", "output"), (mask,)

    def backward(
        self, sites: LayerSites, saved: tuple, dy: tf.Tensor
    ) -> tuple[tf.Tensor]:
        (mask,) = saved
        dy = sites.inject(dy, "grad_in", "input")
        return (sites.inject(dy * mask, "grad_in", "output"),)

    def _mask(self, run: Run, x: tf.Tensor) -> tf.Tensor:
        """Zeros, and 1 / (1 - rate) where an element is kept."""
        key = tf.bitwise.bitwise_xor(
            run.seed, tf.constant(derive(0, self.name), tf.uint32)
        )
        zeros = tf.zeros(x.shape, tf.uint32)
        bits = inject_random(zeros, 0, x.shape.num_elements(), key)
        kept = tf.greater_equal(bits, tf.constant(round(self.rate * 2**32), tf.uint32))
        if run.context.compiled:
            # Else a TPU draws it again in every kernel that reads it.
            (kept,) = gen_xla_ops.xla_optimization_barrier(input=[kept])
        return tf.cast(kept, x.dtype) * tf.constant(1 / (1 - self.rate), x.dtype)
