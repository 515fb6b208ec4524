# SPDX-License-Identifier: Apache-2.0
"""What one replica contributes to a step, for tests that look inside one."""

import numpy as np
import tensorflow as tf

from tpufi.training.operands import FaultOperands
from tpufi.training.state import State
from tpufi.training.step import TrainingStep
from tpufi.training.step_values import ReplicaResult, StepInputs
from tpufi.workload import Workload

NO_RATE = np.zeros([], np.float32)  # The passes do not read it.


def replica_passes(
    workload: Workload,
    state: State,
    inputs: tuple,
    fault: tuple,
    replicas: int = 1,
    replica: tf.Tensor | int = 0,
    compiled: bool = False,
) -> ReplicaResult:
    """Return what the passes of a replica contribute, with all fault sites.

    Args:
      workload: what is trained.
      state: before the step.
      inputs: images, labels and key of the replica.
      fault: its two operands.
      replicas: how many there are.
      replica: which one this is.
      compiled: whether XLA compiles the program.
    """
    step = TrainingStep(workload, replicas, inputs[0].shape[0], compiled)
    context = step.context(replica, FaultOperands(*fault))
    return step.passes(state, StepInputs(*inputs, NO_RATE), context)
