# SPDX-License-Identifier: Apache-2.0
"""The rows of a descriptor that carry faults into an instrumented program."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tpufi.descriptor import (
    CAPACITY,
    EVERY_REPLICA,
    Descriptor,
    disarmed,
    fault_row,
    runs_of,
)
from tpufi.errors import InputError
from tpufi.fault import Fault, Listed
from tpufi.instrument.context import context
from tpufi.instrument.graph_site import GraphSite
from tpufi.instrument.site_fault import AnyFault, on_site


@dataclasses.dataclass(frozen=True, eq=False)
class Row:
    """One row of a descriptor.

    Args:
      given: the fault as it was given, by which its injections are found.
      fault: the fault at its site.
      site: the site.
      context: the execution that it names, see `tpufi.instrument.context`; -1: all.
      elements: int64, flat indices of the row's elements.
      words: uint64, what the operation takes for these elements.
    """

    given: AnyFault
    fault: Fault
    site: GraphSite
    context: int
    elements: np.ndarray
    words: np.ndarray

    def descriptor(self, capacity: int) -> Descriptor:
        """Return the row."""
        fault, where = self.fault, self.fault.elements
        single = isinstance(where, Listed) or where.is_run
        return fault_row(
            site=self.site.id,
            replica=self.context,
            start=int(self.elements[0]),
            count=len(self.elements),
            block=None if single else where.block,
            stride=None if single else where.stride,
            operation=fault.operation,
            keep=fault.keep,
            words=self.words.tolist(),
            trigger=fault.trigger,
            capacity=capacity,
        )


def rows_of(given: AnyFault, site: GraphSite, replicas: int) -> list[Row]:
    """Return the rows of a fault: one for each run of elements and each replica.

    Args:
      given: the fault.
      site: its site.
      replicas: how many replicas run the program.

    Raises:
      InputError: the fault does not fit its site.
    """
    fault = on_site(given, site)
    elements, words = fault.elements.indices(), np.array(fault.words, np.uint64)
    parts = [(elements, words)]
    if isinstance(fault.elements, Listed):
        parts = [
            (elements[run], words[run] if len(words) > 1 else words)
            for run in runs_of(elements, len(elements))
        ]
    return [
        Row(given, fault, site, number, *part)
        for number in _contexts(fault, site.loops, replicas)
        for part in parts
    ]


def _contexts(fault: Fault, loops: int, replicas: int) -> list[int]:
    """Return the executions that a fault names."""
    one = fault.replica != EVERY_REPLICA
    if loops == 0 and one:
        return [context(fault.replica)]
    if fault.iterations is not None and loops:
        faulty = [fault.replica] if one else range(replicas)
        return [context(r, fault.iterations) for r in faulty]
    if one:
        raise InputError(
            "a fault in every iteration is injected into every replica, not only "
            f"{fault.replica}; name iterations, or replica None"
        )
    return [EVERY_REPLICA]


def descriptor_of(rows: Sequence[Row], noted: int | None = None) -> Descriptor:
    """Return the descriptor of rows, with a power of two of rows and of words.

    Few shapes mean few compilations: XLA compiles a program for each.

    Args:
      rows: the rows.
      noted: most golden bits of a row that are recorded; None: all.
    """
    longest = 1
    for row in rows:
        recorded = len(row.elements) if noted is None else noted
        longest = max(longest, min(recorded, len(row.elements)), len(row.words))
    capacity = max(CAPACITY, 1 << (longest - 1).bit_length())
    result = disarmed(1 << max(len(rows) - 1, 0).bit_length(), capacity)
    for number, row in enumerate(rows):
        one = row.descriptor(capacity)
        result.faults[number], result.words[number] = one.faults[0], one.words[0]
    return result


def operands(
    rows: Sequence[Row], noted: int | None = None
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return the context of replica 0, the faults and the words of rows, as tensors."""
    descriptor = descriptor_of(rows, noted)
    values = tf.constant(descriptor.faults), tf.constant(descriptor.words)
    return tf.constant(context(0), tf.int64), *values
