# SPDX-License-Identifier: Apache-2.0
"""The variables that tell a graph its broken unit, count its calls and take its record.

The number of a call is the step that the moment of the fault counts in. Each replica
counts its own calls.
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tpufi.instrument.call_time import Values, plain_variable
from tpufi.instrument.context import REPLICAS
from tpufi.instrument.graph_faults import read
from tpufi.instrument.unit_record import UnitRecord, record_of
from tpufi.instrument.unit_row import FIELDS, STEP, row_of
from tpufi.units import UnitFault


class GraphUnit:
    """A broken unit for calls of one trace inside graphs; their records are added up.

    Args:
      fault: the unit.
      names: of the products.

    Attributes:
      HANDLES: types of `handles`.
      handles: of the variables of the row, its words, the record and the calls.
    """

    HANDLES = (tf.TensorSpec((), tf.resource),) * 4

    def __init__(self, fault: UnitFault, names: Sequence[str]):
        self._fault, self._names = fault, names
        record, calls = (len(names), 2), (REPLICAS,)
        values = *row_of(fault), *(np.zeros(n, np.int64) for n in (record, calls))
        self._variables = tuple(map(plain_variable, values))
        self.handles: Values = tuple(v.handle for v in self._variables)

    def injections(self) -> list[UnitRecord]:
        """Return what the unit did so far."""
        return [record_of(self._fault, self._names, self._variables[2].numpy())]

    def end(self) -> None:
        """Have no fault from now on; a pipeline made in a block may still read this."""
        row, words = row_of(self._fault.whole)
        self._variables[0].assign(row)
        self._variables[1].assign(words)

    @staticmethod
    def read(handles: Values, replica: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the row of the next call and its words, in a graph.

        Args:
          handles: see there.
          replica: int64 scalar.
        """
        row, words, _, calls = handles
        row = read(row, np.zeros((1, len(FIELDS)), np.int64))
        step = tf.raw_ops.ResourceGather(
            resource=calls, indices=replica[tf.newaxis], dtype=tf.int64
        )
        step = tf.reshape(step, [1, 1])
        row = tf.concat([row[:, :STEP], step, row[:, STEP + 1 :]], 1)
        return row, read(words, np.zeros((1, 2), np.uint64))

    @staticmethod
    def note(handles: Values, replica: tf.Tensor, record: tf.Tensor) -> tf.Operation:
        """Count a call, and add what the unit did to the record, in a graph.

        Args:
          handles: as told before the call.
          replica: int64 scalar.
          record: the call's record.
        """
        *_, sums, calls = handles
        one = tf.ones([1], tf.int64)
        counted = tf.raw_ops.ResourceScatterAdd(
            resource=calls, indices=replica[tf.newaxis], updates=one
        )
        added = tf.raw_ops.AssignAddVariableOp(resource=sums, value=record)
        return tf.group(counted, added)
