# SPDX-License-Identifier: Apache-2.0
"""Faults for an instrumented program that is called inside somebody's `tf.function`.

That graph is traced once and cannot be given a descriptor by its caller. Whenever
Python calls it, it is told which variables to read one from and to add its record to:
those of the calling thread's block.
"""

from collections.abc import Callable

import tensorflow as tf

from tpufi.instrument.armed_program import ArmedProgram
from tpufi.instrument.call_time import Values, told_at_call
from tpufi.instrument.unit_program import UnitProgram


def call_in_graph(
    armed: ArmedProgram | UnitProgram,
    tell: Callable[[], Values],
    args: tuple,
    kwargs: dict,
):
    """Add the armed program to the graph that is being built.

    Args:
      armed: the trace.
      tell: returns the handles of a call's faults and record.
      args: positional arguments of the program.
      kwargs: keyword arguments of the program.
    """
    told = armed.in_graph
    handles = told_at_call(tell, told.HANDLES, armed)
    context = tf.distribute.get_replica_context()
    number = 0 if context is None else context.replica_id_in_sync_group
    replica = tf.cast(number, tf.int64)
    outputs, injected = armed(args, kwargs, replica, *told.read(handles, replica))
    done = told.note(handles, replica, injected)
    with tf.control_dependencies([done]):
        return tf.nest.map_structure(_after, outputs)


def in_replica() -> bool:
    """Return whether a strategy of several replicas is tracing one of them."""
    context = tf.distribute.get_replica_context()
    return context is not None and context.num_replicas_in_sync > 1


def _after(value):
    return tf.identity(value) if tf.is_tensor(value) else value
