# SPDX-License-Identifier: Apache-2.0
"""The variables that tell a graph its faults and take its record."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tpufi.descriptor import CAPACITY, disarmed
from tpufi.errors import InputError
from tpufi.instrument.call_time import Values, plain_variable
from tpufi.instrument.fault_rows import Row, descriptor_of
from tpufi.instrument.injection_record import InjectionRecord, injections_of

ROWS = 8


class GraphFaults:
    """Faults for calls of one trace inside graphs; their records are added up.

    Args:
      rows: the rows of the descriptor; none: no fault.

    Attributes:
      HANDLES: types of `handles`.
      handles: of the variables of faults, words and record.

    Raises:
      InputError: there are too many rows, or too many elements in one.
    """

    HANDLES = (tf.TensorSpec((), tf.resource),) * 3

    def __init__(self, rows: Sequence[Row] = ()):
        descriptor = descriptor_of(rows)
        if len(descriptor.faults) > ROWS or descriptor.words.shape[1] > CAPACITY:
            raise InputError(
                f"{len(rows)} rows of up to {descriptor.words.shape[1]} elements; a "
                f"call inside a tf.function takes {ROWS} runs of {CAPACITY} elements; "
                "call it eagerly or inject fewer"
            )
        full = disarmed(ROWS)
        full.faults[: len(descriptor.faults)] = descriptor.faults
        full.words[: len(descriptor.words)] = descriptor.words
        self._rows = rows
        values = full.faults, full.words, tf.zeros((ROWS, 1 + CAPACITY), tf.int64)
        self._variables = tuple(map(plain_variable, values))
        self.handles: Values = tuple(v.handle for v in self._variables)

    def injections(self) -> list[InjectionRecord]:
        """Return what each row of the faults did so far."""
        return list(injections_of(self._rows, self._variables[2].numpy()))

    def end(self) -> None:
        """Have no fault from now on; a pipeline made in a block may still read this."""
        faults, words, _ = self._variables
        nothing = disarmed(ROWS)
        faults.assign(nothing.faults)
        words.assign(nothing.words)

    @staticmethod
    def read(handles: Values, replica: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return faults and words in a graph.

        Args:
          handles: see there.
          replica: int64 scalar.
        """
        del replica
        nothing = disarmed(ROWS)
        faults, words, _ = handles
        return read(faults, nothing.faults), read(words, nothing.words)

    @staticmethod
    def note(handles: Values, replica: tf.Tensor, record: tf.Tensor) -> tf.Operation:
        """Add what was injected in a call to the record, in a graph.

        Args:
          handles: as told before the call.
          replica: int64 scalar.
          record: the call's record.
        """
        del replica
        return tf.raw_ops.AssignAddVariableOp(resource=handles[2], value=record)


def read(handle: tf.Tensor, like: np.ndarray) -> tf.Tensor:
    """Return the value of a variable in a graph, of a known shape and type."""
    value = tf.raw_ops.ReadVariableOp(resource=handle, dtype=like.dtype)
    value.set_shape(like.shape)
    return value
