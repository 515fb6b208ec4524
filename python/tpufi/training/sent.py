# SPDX-License-Identifier: Apache-2.0
"""What replicas sent in the step before, which a stale link hands on."""

import tensorflow as tf

from tpufi.descriptor import Descriptor
from tpufi.errors import InputError
from tpufi.training.state import State
from tpufi.units import UnitFault


def is_stale(fault: Descriptor | UnitFault | None) -> bool:
    """Return whether the program of a fault reads what was sent in the step before."""
    return isinstance(fault, UnitFault) and fault.unit.stale


def with_sent(
    state: State, fault: Descriptor | UnitFault | None, number: int, replicas: int
) -> State:
    """Return a state as the program of a fault takes it: with messages, or without.

    In a step in which the link is whole nothing reads them, and a state without them
    gets zeros.

    Args:
      state: the state before the step.
      fault: what is injected; None: the step is clean.
      number: of the step, since the start of training.
      replicas: of the training.

    Raises:
      InputError: a stale link is broken in the step and the state has no messages.
    """
    if not is_stale(fault):
        return state._replace(sent=()) if state.sent else state
    if state.sent:
        return state
    if fault.when.covers(number - fault.first):
        raise InputError(
            f"step {number}: a stale link hands on what a replica sent in the step "
            "before, and the state has none of that; run the step before with the "
            "fault's `whole`, or begin a step later"
        )
    sent = {
        name: tf.zeros([replicas, *weight.shape], weight.dtype)
        for name, weight in state.parameters.items()
    }
    return state._replace(sent=sent)
