# SPDX-License-Identifier: Apache-2.0
"""One replica's training step with context of a peer's own."""

import tensorflow as tf

from peers.context import PeerContext
from tpufi.training import State
from tpufi.training.step import TrainingStep
from tpufi.training.step_values import StepInputs
from tpufi.workload import Workload


def traced_step(
    workload: Workload,
    context: PeerContext,
    state: State,
    examples: tf.Tensor,
    labels: tf.Tensor,
    seed: tf.Tensor,
    rate: tf.Tensor,
) -> tuple[State, tf.Tensor]:
    """Build a step of one replica; return the new state and the loss."""
    step = TrainingStep(workload, 1, examples.shape[0])
    total = step.passes(state, StepInputs(examples, labels, seed, rate), context)
    new_state, _ = step.update(state, total, rate, context)
    return new_state, total.loss
