# SPDX-License-Identifier: Apache-2.0
"""Runs whose faults a plan draws, numbered from 0."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from tpufi.errors import InputError
from tpufi.instrument.graph_site import GraphSite
from tpufi.instrument.profile import Execution, restored
from tpufi.instrument.site_fault import AnyFault, SiteFault

Golden = Callable[[Execution, Sequence[int]], np.ndarray]


class Plan(Protocol):
    """Chooses sites, and draws the faults of a run as a pure function of its number."""

    def choose(self, sites: Sequence[GraphSite]) -> frozenset[int]:
        """Return the ids of the sites to arm."""

    def faults(
        self, run: int, executions: Sequence[Execution], golden: Golden
    ) -> list[AnyFault]:
        """Return the faults of a run."""


class Program(Protocol):
    """What planned runs need of an instrumented program."""

    def armed(self, *args: object, **kwargs: object) -> Any:
        """Return the trace of such a call."""

    def executions(self, *args: object, **kwargs: object) -> tuple[Execution, ...]:
        """Return what such a call executes."""

    def run(self, faults: Sequence[AnyFault], *args: object, **kwargs: object) -> Any:
        """Run the program with faults."""


class PlannedRuns:
    """Draws and runs one fault set after another; no two threads get the same one.

    Args:
      plan: what to draw.

    Attributes:
      next: number of the next run.
    """

    def __init__(self, plan: Plan):
        self.plan = plan
        self.next = 0
        self._executions: dict[int, tuple[Execution, ...]] = {}
        self._lock = threading.Lock()

    def run(self, fi: Program, args: tuple, kwargs: Mapping) -> Any:
        """Run the program with the faults of the next run."""
        with self._lock:
            number = self.next
            faults = self.faults(fi, number, args, kwargs)
            self.next = number + 1
        return fi.run(faults, *args, **kwargs)

    def faults(
        self, fi: Program, number: int, args: tuple, kwargs: Mapping
    ) -> list[AnyFault]:
        """Return the faults of run `number` of such a call."""
        key = id(fi.armed(*args, **kwargs))  # The program keeps it alive.
        if key not in self._executions:
            self._executions[key] = fi.executions(*args, **kwargs)

        def golden(execution: Execution, elements: Sequence[int]) -> np.ndarray:
            return peek(fi, execution, elements, args, kwargs)

        return self.plan.faults(number, self._executions[key], golden)


def peek(
    fi: Program,
    execution: Execution,
    elements: Sequence[int],
    args: tuple,
    kwargs: Mapping,
) -> np.ndarray:
    """Return the bits that elements of an execution have; changes nothing.

    Args:
      fi: the program, which is run once; its variables are put back.
      execution: one of `Instrumented.executions`.
      elements: flat indices.
      args: positional arguments of the call.
      kwargs: keyword arguments of the call.

    Returns:
      uint64 array, in the order of `elements`.

    Raises:
      InputError: there is no such execution, or there are several.
    """
    keep_all, same = -1, (0,)
    where = execution.iterations
    replica = None if where is None else 0  # `Instrumented.run` runs replica 0.
    fault = SiteFault(execution.site.id, elements, keep_all, same, where, replica)
    with restored(fi.armed(*args, **kwargs).program.variables):
        injections = fi.run([fault], *args, **kwargs).injections
    for injection in injections:
        if injection.times != 1:
            raise InputError(
                f"{execution.site.name}: {injection.times} executions in iterations "
                f"{where}; name one of executions(...)"
            )
    found = {
        int(element): word
        for injection in injections
        for element, word in zip(injection.elements, injection.golden, strict=True)
    }
    return np.array([found[int(element)] for element in elements], np.uint64)
