# SPDX-License-Identifier: Apache-2.0
"""The part of a training step that one replica does, and the part all do together."""

from typing import NamedTuple

import tensorflow as tf

from tpufi.layers.accumulator import accumulator
from tpufi.layers.hooks import Hooks
from tpufi.layers.layer import Run
from tpufi.site_table import PASSES, UPDATE
from tpufi.training.state import State, Tensors
from tpufi.workload import Workload


class ReplicaResult(NamedTuple):
    """What a replica contributes; everything is summed over the replicas.

    Args:
      gradients: by parameter name.
      statistics: new moving averages of this replica.
      loss: its share of the mean loss.
      correct: int64, labels predicted correctly.
      record: see `tpufi.descriptor.read_record`.
    """

    gradients: Tensors
    statistics: Tensors
    loss: tf.Tensor
    correct: tf.Tensor
    record: tf.Tensor


def replica_gradients(
    workload: Workload,
    state: State,
    images: tf.Tensor,
    labels: tf.Tensor,
    seed: tf.Tensor,
    hooks: Hooks,
    global_batch: int,
    compiled: bool = False,
) -> ReplicaResult:
    """Run forward and backward pass of one replica.

    Args:
      workload: what is trained.
      state: the state before the step.
      images: the examples, [per_replica, height, width, channels], or tokens, int32
        [per_replica, context].
      labels: int32 [per_replica], or [per_replica, context].
      seed: uint32 [2], key of this epoch, step and replica.
      hooks: fault operands.
      global_batch: images of all replicas.
      compiled: whether XLA compiles the program.
    """
    probe = tf.zeros(hooks.record_shape)
    examples = examples_of(workload, images)
    weights = state.parameters, state.statistics
    run = Run(*weights, True, hooks, probe, seed, compiled, examples)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch([*state.parameters.values(), probe])
        logits = workload.model(examples, run)
        loss = workload.loss(logits, labels, global_batch, run)
    *gradients, record = tape.gradient(loss, [*state.parameters.values(), probe])
    guesses = tf.argmax(logits, -1, output_type=labels.dtype)
    correct = tf.reduce_sum(tf.cast(tf.equal(guesses, labels), tf.int64))
    return ReplicaResult(
        dict(zip(state.parameters, gradients, strict=True)),
        {name: run.new_statistics[name] for name in state.statistics},
        loss,
        correct,
        record + hooks.record(PASSES),
    )


def examples_of(workload: Workload, examples: tf.Tensor) -> tf.Tensor:
    """Return the examples in the type of the activations; tokens stay as they are."""
    examples = tf.convert_to_tensor(examples)
    floating = examples.dtype.is_floating
    return tf.cast(examples, workload.dtype) if floating else examples


def apply_update(
    workload: Workload,
    state: State,
    total: ReplicaResult,
    replicas: int,
    rate: tf.Tensor,
    hooks: Hooks,
) -> tuple[State, tf.Tensor]:
    """Update the weights with the sum over all replicas.

    Returns:
      The new state and the record of the faults that struck the update.
    """
    updates = state.updates + 1
    wide = accumulator(workload.dtype)
    size = workload.optimizer.step_size(tf.cast(rate, wide), tf.cast(updates, wide))
    parameters, slots, record = {}, {}, hooks.record((UPDATE,))
    for name, weight in state.parameters.items():
        sites = hooks.layer(name)
        old = {s: state.slots[f"{name}/{s}"] for s in workload.optimizer.slots()}
        parameters[name], new = workload.optimizer.update(
            sites,
            weight,
            total.gradients[name],
            old,
            size,
        )
        slots |= {f"{name}/{s}": tensor for s, tensor in new.items()}
        record += sites.record()
    statistics = {name: s / replicas for name, s in total.statistics.items()}
    return State(parameters, slots, statistics, updates), record
