# SPDX-License-Identifier: Apache-2.0
"""One replica's training step with hooks of a peer's own."""

import tensorflow as tf

from peers.hooks import PeerHooks
from tpufi.training import State
from tpufi.training.replica import apply_update, replica_gradients
from tpufi.workload import Workload


def traced_step(
    workload: Workload,
    hooks: PeerHooks,
    state: State,
    examples: tf.Tensor,
    labels: tf.Tensor,
    seed: tf.Tensor,
    rate: tf.Tensor,
) -> tuple[State, tf.Tensor]:
    """Build a step of one replica; return the new state and the loss."""
    batch = examples.shape[0]
    total = replica_gradients(workload, state, examples, labels, seed, hooks, batch)
    new_state, _ = apply_update(workload, state, total, 1, rate, hooks)
    return new_state, total.loss
