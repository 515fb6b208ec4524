# SPDX-License-Identifier: Apache-2.0
"""Counts what a fault sends between the host and the program."""

import tensorflow as tf

from tpufi.training import Program

_DATA = 5  # State, images, labels, keys and rate go to every step, struck or not.


class CountedStep:
    """Stands in for the traced step of a program and counts the bytes of faults.

    Args:
      program: the program; its step is replaced.

    Attributes:
      fault_bytes: operands of the faults and records of what they struck, so far.
      most: the most of one step.
    """

    def __init__(self, program: Program):
        self.fault_bytes = self.most = 0
        self._step = program._step
        program._step = self

    def __call__(self, *arguments: object) -> tuple:
        results = self._step(*arguments)
        crossed = tf.nest.flatten((arguments[_DATA:], results[-1]))
        size = sum(tensor.numpy().nbytes for tensor in crossed)
        self.fault_bytes += size
        self.most = max(self.most, size)
        return results
