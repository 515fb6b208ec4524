# SPDX-License-Identifier: Apache-2.0
"""Stale faults: their words are what the elements held one step before."""

import dataclasses
from collections.abc import Sequence

from tpufi.errors import InputError
from tpufi.fault import Fault
from tpufi.integers import integer


def recording(fault: Fault, steps_per_epoch: int) -> Fault:
    """Return the fault that only reads the elements, one step before `fault`.

    Args:
      fault: a stale fault of one replica.
      steps_per_epoch: steps of an epoch, to step back across its start; > fault.step.

    Returns:
      A fault of the same elements that keeps every bit.

    Raises:
      InputError: the fault is not stale, names every replica (records of replicas are
        added up), is injected into the very first step, or its step is not in the
        epoch.
    """
    _check_stale(fault)
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
        when=None,
        operation="flip",
        keep=0,
        words=(0,),
        affected=None,
        stale=False,
    )


def holding(fault: Fault, bits: Sequence[int]) -> Fault:
    """Return the stale fault with the values it writes.

    Args:
      fault: a stale fault.
      bits: bits of the faulty elements one step earlier, in the order of positions.

    Returns:
      The same fault, ready to be injected.

    Raises:
      InputError: the fault is not stale, or the bits are not one word for each element.
    """
    _check_stale(fault)
    return dataclasses.replace(fault, words=tuple(integer("bits", b) for b in bits))


def _check_stale(fault: Fault) -> None:
    if not fault.stale:
        raise InputError(f"fault {fault.model} at {fault.site} is not stale")
    if fault.replica < 0:
        raise InputError(
            "stale fault: replica -1 means every replica, and the record cannot tell "
            "them apart; name one replica"
        )
