# SPDX-License-Identifier: Apache-2.0
"""Injections that are on in one thread."""

import threading
from collections.abc import Callable, Sequence

from tpufi.instrument.armed_program import ArmedProgram
from tpufi.instrument.fault_rows import Row
from tpufi.instrument.graph_faults import GraphFaults
from tpufi.instrument.injection_record import InjectionRecord
from tpufi.instrument.site_fault import AnyFault


class Block:
    """What is on from the start of a `with` block, or from `turn_on`, to its end.

    Args:
      faults: injected into each call; None: the configuration draws them.

    Attributes:
      injections: what was injected into eager calls so far.
    """

    def __init__(self, faults: Sequence[AnyFault] | None):
        self.faults = faults
        self.injections: list[InjectionRecord] = []
        self._traces: dict[ArmedProgram, GraphFaults] = {}
        self._alike: dict[tuple, GraphFaults] = {}

    def in_trace(
        self, armed: ArmedProgram, rows: Callable[[], Sequence[Row]]
    ) -> GraphFaults:
        """Return the faults for calls of a trace in graphs.

        The replicas of a strategy have a trace each; their records are added up.

        Args:
          armed: the trace.
          rows: returns the rows of the faults, once they fit the trace.
        """
        if armed not in self._traces:
            fitting = rows()
            sites = tuple(armed.site(fault.site) for fault in self.faults)
            key = armed.program.signature, sites
            if key not in self._alike:
                self._alike[key] = GraphFaults(fitting)
            self._traces[armed] = self._alike[key]
        return self._traces[armed]

    def in_graphs(self) -> list[InjectionRecord]:
        """Return the injections of calls in graphs, added up for each signature."""
        return [s for faults in self._alike.values() for s in faults.injections()]

    def end(self) -> None:
        """Take the faults out of graphs that may still run."""
        for faults in self._alike.values():
            faults.end()


class CurrentBlock(threading.local):
    """The block of the thread that asks; other threads do not see it."""

    block: Block | None = None
