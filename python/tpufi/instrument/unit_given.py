# SPDX-License-Identifier: Apache-2.0
"""Which broken unit a program is given, if it is given one."""

from collections.abc import Sequence

from tpufi.errors import InputError
from tpufi.faults.program_units import check_of_program
from tpufi.instrument.site_fault import Given
from tpufi.units import UnitFault


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
    check_of_program(fault.unit)
    return fault
