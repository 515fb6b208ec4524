# SPDX-License-Identifier: Apache-2.0
"""What golden runs of a program are given, one for each kind of its faults.

Programs that are armed in different ways may round differently, so a fault is compared
with a golden run of the program that it is injected into.
"""

from tpufi.faults.broken_unit import AnyFault, BrokenUnit
from tpufi.faults.sampler import FaultSource
from tpufi.instrument.armed_program import SITES
from tpufi.units import UnitFault

Kind = tuple[str | int, ...]  # `SITES`, or `Unit.key`.
Control = tuple[UnitFault, ...]  # Nothing, or a unit that is whole.


def controls_of(source: FaultSource) -> dict[Kind, Control]:
    """Return what the golden run is given for each kind of fault that can be drawn."""
    of_sites = {SITES: ()} if source.sites() else {}
    return of_sites | {whole.unit.key: (whole,) for whole in source.units()}


def kind_of(fault: AnyFault) -> Kind:
    """Return the kind of a drawn fault."""
    return fault.fault.unit.key if isinstance(fault, BrokenUnit) else SITES
