# SPDX-License-Identifier: Apache-2.0
"""Which broken unit a program is given, if it is given one."""

from collections.abc import Sequence

from tpufi.errors import InputError
from tpufi.instrument.site_fault import Given
from tpufi.units import (
    Link,
    MemoryAddress,
    ProcessingElement,
    SavedActivation,
    UnitFault,
    VectorLane,
)

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
        "operations, or break a ProcessingElement"
    ),
}


def unit_of(faults: Sequence[Given]) -> UnitFault | None:
    """Return the broken unit among faults; None: they are of sites.

    Args:
      faults: all that are injected at once.

    Raises:
      InputError: there is something beside it, or programs have no such unit.
    """
    units = [fault for fault in faults if isinstance(fault, UnitFault)]
    if not units:
        return None
    if len(faults) > 1:
        raise InputError(
            f"unit: {len(units)} broken units and {len(faults) - len(units)} other "
            "faults at once; a program has one broken unit and nothing else, so give "
            "one"
        )
    (fault,) = units
    if not isinstance(fault.unit, ProcessingElement):
        kind = type(fault.unit)
        raise InputError(f"unit: a {kind.__name__} is {_INSTEAD[kind]}")
    return fault
