# SPDX-License-Identifier: Apache-2.0
"""Which units a program of the user has, and when they may break in it."""

import dataclasses

from tpufi.errors import InputError
from tpufi.faults.plan import SamplingPlan
from tpufi.faults.unit_model import UnitModel
from tpufi.units import (
    Link,
    MemoryAddress,
    ProcessingElement,
    SavedActivation,
    Unit,
    VectorLane,
)
from tpufi.when import ALWAYS, ONCE
from tpufi.when_text import when_text

# Units that no program has, and what takes their place.
_INSTEAD = {
    MemoryAddress: (
        "an address of a workload's state; for a variable of a program use "
        "fi.corrupted(WeightFault(...))"
    ),
    SavedActivation: (
        "kept by a workload's layer; for a program instrument with operands=True and "
        "inject into what a gradient reads"
    ),
    Link: (
        "of a workload's replicas; for a program inject into the sites of the gradients"
    ),
    VectorLane: (
        "of a workload's layers; for a program inject into the sites of elementwise "
        "operations"
    ),
}


def check_of_program(unit: Unit) -> None:
    """Refuse a unit that no program of the user has.

    Raises:
      InputError: it is not a processing element.
    """
    if not isinstance(unit, ProcessingElement):
        kind = type(unit)
        raise InputError(
            f"unit: a {kind.__name__} is {_INSTEAD[kind]}, or break a "
            "ProcessingElement (pe: in a plan)"
        )


def check_of_call(sampling: SamplingPlan) -> None:
    """Refuse moments that name other steps than the one that an inference is.

    Raises:
      InputError: a unit has such a moment.
    """
    for model, _ in sampling.models:
        if not isinstance(model, UnitModel):
            continue
        if dataclasses.replace(model.when, rate=1, key=0) not in (ALWAYS, ONCE):
            raise InputError(
                f"faults: when {when_text(model.when)} of a unit: an inference is one "
                "step; write always, or a rate alone"
            )
