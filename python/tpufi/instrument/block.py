# SPDX-License-Identifier: Apache-2.0
"""Injections that are on in one thread."""

import threading
from collections.abc import Callable, Hashable, Sequence

from tpufi.instrument.armed_program import SITES, ArmedProgram
from tpufi.instrument.graph_faults import GraphFaults
from tpufi.instrument.graph_unit import GraphUnit
from tpufi.instrument.injection_record import InjectionRecord
from tpufi.instrument.site_fault import Given
from tpufi.instrument.unit_given import unit_of
from tpufi.instrument.unit_program import UnitProgram
from tpufi.instrument.unit_record import UnitRecord

Told = GraphFaults | GraphUnit


class Block:
    """What is on from the start of a `with` block, or from `turn_on`, to its end.

    Args:
      faults: injected into each call; None: the configuration draws them.

    Attributes:
      unit: the broken unit among the faults; None: there is none.
      kind: of the faults, see `ArmedProgram.kind`.
      calls: number of eager calls so far.
      injections: what was injected into them.

    Raises:
      InputError: see `tpufi.instrument.unit_given.unit_of`.
    """

    def __init__(self, faults: Sequence[Given] | None):
        self.faults = faults
        self.unit = unit_of(faults or ())
        self.kind = SITES if self.unit is None else self.unit.unit.key
        self.calls = 0
        self.injections: list[InjectionRecord | UnitRecord] = []
        self._traces: dict[ArmedProgram | UnitProgram, Told] = {}
        self._alike: dict[Hashable, Told] = {}

    def in_trace(
        self,
        armed: ArmedProgram | UnitProgram,
        tell: Callable[[], tuple[Hashable, Callable[[], Told]]],
    ) -> Told:
        """Return the faults for calls of a trace in graphs.

        The replicas of a strategy have a trace each; their records are added up.

        Args:
          armed: the trace.
          tell: returns where the faults are injected, once they fit the trace, and what
            makes them for graphs; traces in which they are the same share them.
        """
        if armed not in self._traces:
            where, make = tell()
            key = armed.program.signature, where
            if key not in self._alike:
                self._alike[key] = make()
            self._traces[armed] = self._alike[key]
        return self._traces[armed]

    def in_graphs(self) -> list[InjectionRecord | UnitRecord]:
        """Return the injections of calls in graphs, added up for each signature."""
        return [s for faults in self._alike.values() for s in faults.injections()]

    def end(self) -> None:
        """Take the faults out of graphs that may still run."""
        for faults in self._alike.values():
            faults.end()


class CurrentBlock(threading.local):
    """The block of the thread that asks; other threads do not see it."""

    block: Block | None = None
