# SPDX-License-Identifier: Apache-2.0
"""A fault as run-time operands of a training step."""

from typing import NamedTuple

import tensorflow as tf

from tpufi.descriptor import FIELDS, Descriptor
from tpufi.errors import InputError
from tpufi.gate import is_injected
from tpufi.ops import Prepared


class FaultOperands(NamedTuple):
    """A fault as run-time operands.

    Args:
      faults: see `tpufi.descriptor.Descriptor`.
      words: see there.
      moments: see there; empty: rows are injected in every step.
      step: int64 scalar, steps since the start of training; empty like `moments`.
      prepared: the same for the sites of a compiled program; empty: not yet.
    """

    faults: tf.Tensor
    words: tf.Tensor
    moments: tf.Tensor | tuple[()] = ()
    step: tf.Tensor | tuple[()] = ()
    prepared: Prepared | tuple[()] = ()

    @classmethod
    def of(cls, fault: Descriptor, number: int | None) -> "FaultOperands":
        """Return a descriptor as the operands of one step.

        Args:
          fault: the descriptor.
          number: of the step, since the start of training; None: no row asks for it.

        Raises:
          InputError: a row does.
        """
        if number is None and fault.moments.any():
            raise InputError(
                "the fault has a moment and the step no number; tell steps since the "
                "start of training"
            )
        return cls(
            tf.constant(fault.faults),
            tf.constant(fault.words),
            tf.constant(fault.moments),
            tf.constant(number or 0, tf.int64),
        )

    def injected(self, replica: tf.Tensor) -> tf.Tensor | None:
        """Return which rows are injected in the step, bool [rows]; None: all.

        Args:
          replica: int64 scalar.
        """
        if not tf.is_tensor(self.moments):
            return None
        sites = self.faults[:, FIELDS.index("site")]
        return is_injected(self.moments, self.step, replica, sites)
