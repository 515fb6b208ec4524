# SPDX-License-Identifier: Apache-2.0
"""Stale faults: an element keeps the value that it had one step earlier.

The value is not known before the training run reaches that step. Whoever runs the fault
strikes the step before with `recording(fault, ...)`, which changes no bit, reads the
elements' bits from the record of that step, and strikes with `holding(fault, bits)`.
"""

import dataclasses
from collections.abc import Sequence

from tpufi.errors import InputError
from tpufi.faults.fault import Fault


def recording(fault: Fault, steps_per_epoch: int) -> Fault:
    """Return the fault that only reads the elements, one step before `fault`.

    Args:
      fault: a stale fault of one replica.
      steps_per_epoch: steps of an epoch, to step back across its start; > fault.step.

    Returns:
      A fault of the same elements that keeps every bit.

    Raises:
      InputError: the fault is not stale, names every replica (records of replicas are
        added up), strikes the very first step, or its step is not in the epoch.
    """
    _check(fault)
    if fault.step >= steps_per_epoch:
        raise InputError(
            f"stale fault: step {fault.step} is not in an epoch of {steps_per_epoch} "
            f"steps; choose 0 to {steps_per_epoch - 1}"
        )
    if fault.epoch == 0 and fault.step == 0:
        raise InputError(
            "stale fault: epoch 0, step 0 has no step before it; choose a later step"
        )
    before = fault.epoch * steps_per_epoch + fault.step - 1
    return dataclasses.replace(
        fault,
        epoch=before // steps_per_epoch,
        step=before % steps_per_epoch,
        duration=1,
        operation="flip",
        keep=0,
        words=(0,),
        confine=None,
        stale=False,
    )


def holding(fault: Fault, bits: Sequence[int]) -> Fault:
    """Return the stale fault with the values it writes.

    Args:
      fault: a stale fault.
      bits: bits of the struck elements one step earlier, in the order of positions.

    Returns:
      The same fault, ready to strike.

    Raises:
      InputError: the fault is not stale, or the bits are not one word for each element.
    """
    _check(fault)
    return dataclasses.replace(fault, words=tuple(int(word) for word in bits))


def _check(fault: Fault) -> None:
    if not fault.stale:
        raise InputError(f"fault {fault.model} at {fault.site} is not stale")
    if fault.replica < 0:
        raise InputError(
            "stale fault: replica -1 means every replica, and the record cannot tell "
            "them apart; name one replica"
        )
