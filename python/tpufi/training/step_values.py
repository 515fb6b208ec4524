# SPDX-License-Identifier: Apache-2.0
"""What a training step takes and returns, of one replica and of all."""

from typing import NamedTuple

import tensorflow as tf

from tpufi.training.state import State, Tensors


class ReplicaResult(NamedTuple):
    """What a replica contributes; everything is summed over the replicas.

    Args:
      gradients: by parameter name.
      statistics: new moving averages of this replica.
      loss: its share of the mean loss.
      correct: int64, labels predicted correctly.
      record: see `tpufi.descriptor.read_record`; empty in a clean step.
      sent: the gradients that it gave a stale link; they are not summed. Of all
        replicas see `State.sent`.
    """

    gradients: Tensors
    statistics: Tensors
    loss: tf.Tensor
    correct: tf.Tensor
    record: tf.Tensor | tuple[()]
    sent: Tensors | tuple[()] = ()


class StepInputs(NamedTuple):
    """What a step reads besides the state and the fault, for one or for all replicas.

    Args:
      images: the examples, [..., per_replica, height, width, channels], or tokens,
        int32 [..., per_replica, context].
      labels: int32 [..., per_replica], or [..., per_replica, context].
      seeds: uint32 [..., 2], key of this epoch, step and replica.
      rate: scalar learning rate.
    """

    images: tf.Tensor
    labels: tf.Tensor
    seeds: tf.Tensor
    rate: tf.Tensor


class StepOutputs(NamedTuple):
    """What a step returns.

    Args:
      state: after the step.
      loss: mean loss over the global batch.
      correct: int64, labels predicted correctly.
      record: see `tpufi.descriptor.read_record`, of a broken unit
        `tpufi.layers.unit_context.counted`; empty of a clean step.
    """

    state: State
    loss: tf.Tensor
    correct: tf.Tensor
    record: tf.Tensor | tuple[()]
