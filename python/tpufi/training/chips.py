# SPDX-License-Identifier: Apache-2.0
"""Sums over the chips that run a compiled step together."""

from typing import TypeVar

import tensorflow as tf
from tensorflow.compiler.tf2xla.ops import gen_xla_ops

Nest = TypeVar("Nest")


def sum_over_chips(own: Nest, chips: int) -> Nest:
    """Return the sum of what all chips contribute; each chip is a replica.

    Args:
      own: what this chip contributes, a nest of tensors.
      chips: how many there are, >= 1.
    """
    if chips == 1:
        return own

    def one(x: tf.Tensor) -> tf.Tensor:
        # A TPU sums no 64-bit integers; no count of a step is that large.
        narrow = tf.cast(x, tf.int32) if x.dtype == tf.int64 else x
        # Not among TensorFlow's public ops; the ones that are need devices to run on.
        total = gen_xla_ops.xla_all_reduce(
            input=narrow,
            group_assignment=[list(range(chips))],
            reduce_op="Add",
            mode="CrossReplica",
        )
        return tf.cast(total, x.dtype)

    return tf.nest.map_structure(one, own)
