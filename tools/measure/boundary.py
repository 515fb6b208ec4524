# SPDX-License-Identifier: Apache-2.0
"""Counts what a fault sends between the host and the program."""

import tensorflow as tf

from tpufi.training import Program
from tpufi.training.operands import FaultOperands
from tpufi.training.state import State
from tpufi.training.step_values import StepInputs, StepOutputs


class CountedStep:
    """Stands in for the armed step of a program and counts the bytes of faults.

    State and inputs go to every step, faulty or not, and are not counted.

    Args:
      program: the program; its armed step is replaced.

    Attributes:
      fault_bytes: operands of the faults and records of what they did, so far.
      most: the most of one step.
    """

    def __init__(self, program: Program):
        self.fault_bytes = self.most = 0
        self._step = program._armed
        program._armed = self

    def __call__(
        self, state: State, inputs: StepInputs, fault: FaultOperands
    ) -> StepOutputs:
        found = self._step(state, inputs, fault)
        crossed = tf.nest.flatten((fault, found.record))
        size = sum(tensor.numpy().nbytes for tensor in crossed)
        self.fault_bytes += size
        self.most = max(self.most, size)
        return found
