# SPDX-License-Identifier: Apache-2.0
"""A broken unit and its step as the faults and words that a program is given."""

import numpy as np
import tensorflow as tf

from tpufi.layers.unit_context import UnitOperands
from tpufi.units import UnitFault
from tpufi.when import MOMENT_FIELDS

STEP = 1
FIELDS = ("replica", "step", "row", "column", *MOMENT_FIELDS)


def row_of(fault: UnitFault, step: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return a broken element as int64 [1, FIELDS] and uint64 [1, 2].

    Args:
      fault: the element and what it does; `UnitFault.bits` checks the word.
      step: number of the call.
    """
    head = fault.replica, step, *fault.unit.place
    row = np.concatenate([np.array(head, np.int64), fault.when.moment(fault.first)])
    return row[np.newaxis], fault.bits("float64")[np.newaxis]


def operands_of(
    key: tuple[str | int, ...], row: tf.Tensor, words: tf.Tensor
) -> UnitOperands:
    """Return what `row_of` made as the operands of a program.

    Args:
      key: of the unit, see `tpufi.units.Unit.key`.
      row: int64 [1, FIELDS].
      words: uint64 [1, 2].
    """
    replica, step, *place = tf.unstack(row[0, :4])
    return UnitOperands(key, tf.stack(place), words[0], replica, row[:, 4:], step)
