# SPDX-License-Identifier: Apache-2.0
"""Swish, also called SiLU."""

import dataclasses

import tensorflow as tf

from tpufi.layers.context import LayerSites
from tpufi.layers.layer import Layer, Run


@dataclasses.dataclass(frozen=True)
class Swish(Layer):
    """Multiply each element by its own sigmoid.

    Args:
      name: layer name.

    Source: Ramachandran et al. 2017.
    """

    name: str

    def forward(
        self, sites: LayerSites, run: Run, x: tf.Tensor
    ) -> tuple[tf.Tensor, tuple]:
        faulty_x = sites.inject(x, "forward", "input")
        # The output does not determine the input, so the backward pass reads that
        # again; the sigmoid is cheaper to compute twice than to keep.
        return sites.inject(_swish(faulty_x), "forward", "output"), (x,)

    def backward(
        self, sites: LayerSites, saved: tuple, dy: tf.Tensor
    ) -> tuple[tf.Tensor]:
        (x,) = saved
        dy = sites.inject(dy, "grad_in", "input")
        share = tf.sigmoid(x)
        dx = dy * (share * (1 + x * (1 - share)))
        return (sites.inject(dx, "grad_in", "output"),)


def _swish(x: tf.Tensor) -> tf.Tensor:
    """Not `x * sigmoid(x)`, which TensorFlow fuses on CPU, and rounds in another way.

    It fuses only where nothing else reads the sigmoid; without fault sites the backward
    pass does, because equal expressions are merged.
    """
    return x / (1 + tf.exp(-x))
