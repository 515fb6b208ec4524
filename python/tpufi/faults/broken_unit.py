# SPDX-License-Identifier: Apache-2.0
"""A unit fault of an experiment, as campaigns draw, name and record it."""

import dataclasses
import json

from tpufi.errors import InputError
from tpufi.fault import Fault
from tpufi.site_table import SiteTable
from tpufi.units import (
    Link,
    MemoryAddress,
    ProcessingElement,
    SavedActivation,
    Unit,
    UnitFault,
    VectorLane,
)
from tpufi.when import When
from tpufi.when_text import when_text

_WORD = (1 << 64) - 1


@dataclasses.dataclass(frozen=True)
class BrokenUnit:
    """A unit that breaks in a step of a training; nothing is left to be drawn.

    A campaign treats it like a `tpufi.Fault`: both have these attributes.

    Args:
      model: name of what it was drawn from, see `tpufi.faults.unit_model.UnitModel`.
      site: name of what it is a part of, see there.
      epoch: epoch of the step that its moment counts from, from 0.
      step: that step in its epoch, from 0.
      fault: the unit, what it does, and when; its first step is told by the two above.
    """

    model: str
    site: str
    epoch: int
    step: int
    fault: UnitFault

    @property
    def stale(self) -> bool:
        """Whether it needs the step before."""
        return self.fault.unit.stale

    @property
    def when(self) -> When:
        """In which steps and operations the unit is broken."""
        return self.fault.when

    @property
    def duration(self) -> int:
        """Steps up to the last one that it can be broken in."""
        return self.fault.when.length

    @property
    def replica(self) -> int:
        """The replica that the broken chip serves."""
        return self.fault.replica

    @property
    def operation(self) -> str:
        """What it does to a value: `flip`, `zero`, `stuck_0`, `stuck_1` or `replace`.

        Of a link that corrupts nothing it is the link's error.
        """
        fault = self.fault
        if isinstance(fault.unit, Link) and fault.unit.error != "corrupted":
            return fault.unit.error
        if fault.operation == "replace" and self.bit is not None:
            return "stuck_1" if fault.word else "stuck_0"
        return fault.operation

    @property
    def bit(self) -> int | None:
        """The one bit that it changes, 0 the least significant; None: others too."""
        fault = self.fault
        changed = fault.word
        if fault.operation == "replace":
            changed = _WORD ^ fault.keep
            if fault.word & fault.keep:
                return None
        return changed.bit_length() - 1 if changed.bit_count() == 1 else None

    @property
    def start(self) -> int:
        """Flat index of the unit among those of its kind."""
        unit = self.fault.unit
        if isinstance(unit, ProcessingElement):
            return unit.row * unit.columns + unit.column
        return unit.place[0]

    def descriptor(self, table: SiteTable, rows: int = 1, first: int = 0) -> UnitFault:
        """Return the fault as a step takes it.

        Args:
          table: sites of the program; a unit has none.
          rows: of descriptors; a unit has none.
          first: its first step since the start of training.
        """
        del table, rows
        return dataclasses.replace(self.fault, first=first)

    def line(self) -> str:
        """Return the fault as one line of JSON; the same fault is the same text."""
        fault = self.fault
        row = {
            "model": self.model,
            "unit": unit_text(fault.unit),
            "replica": fault.replica,
            "epoch": self.epoch,
            "step": self.step,
            "operation": fault.operation,
            "keep": hex(fault.keep),
            "word": hex(fault.word),
            "when": when_text(fault.when),
        }
        return json.dumps(row, separators=(",", ":"))


# What a campaign injects.
AnyFault = Fault | BrokenUnit


def kind_text(unit: Unit) -> str:
    """Return a kind of unit as text, without which one of its kind it is.

    Example:
      >>> kind_text(ProcessingElement(row=3)), kind_text(VectorLane(5))
      ('pe:128x128/output/weight', 'lane')
    """
    match unit:
        case ProcessingElement():
            size = f"{unit.rows}x{unit.columns}"
            return f"pe:{size}/{unit.dataflow}/{unit.register}"
        case VectorLane():
            return "lane"
        case MemoryAddress():
            return "memory"
        case SavedActivation():
            return "saved"
        case Link():
            return f"link:{unit.error}"
    raise InputError(f"unit: {type(unit).__name__}; expected one of tpufi.units")


def unit_text(unit: Unit) -> str:
    """Return a unit as text that tells all of it.

    Example:
      >>> unit_text(MemoryAddress("fc/kernel", 3)), unit_text(Link("twice", 1, 4))
      ('memory:fc/kernel@3', 'link:twice@1/4')
    """
    kind = kind_text(unit)
    match unit:
        case ProcessingElement():
            return f"{kind}@{unit.row},{unit.column}"
        case VectorLane():
            return f"{kind}@{unit.lane},{unit.sublane}"
        case MemoryAddress():
            return f"{kind}:{unit.tensor}@{unit.index}"
        case SavedActivation():
            return f"{kind}:{unit.layer}@{unit.element}"
        case Link():
            return f"{kind}@{unit.chunk}/{unit.chunks}"
    raise AssertionError(kind)
