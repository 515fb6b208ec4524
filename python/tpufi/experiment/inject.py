# SPDX-License-Identifier: Apache-2.0
"""Injecting a fault into a step: making it ready, and reading what it did."""

from collections.abc import Iterable

import numpy as np

from tpufi.descriptor import EVERY_REPLICA, read_record, record_numbers
from tpufi.errors import InputError
from tpufi.fault import Fault, Listed
from tpufi.faults.broken_unit import AnyFault, BrokenUnit
from tpufi.faults.injection_file import InjectionFile
from tpufi.golden import GoldenConfig
from tpufi.layers.unit_context import operations_of
from tpufi.site_table import UPDATE, Site, SiteTable
from tpufi.stale import holding, recording
from tpufi.training import Session, State


class NotActive(Exception):
    """A fault was not injected into all that it names."""


def check_fits(injection: InjectionFile, config: GoldenConfig) -> None:
    """Refuse a golden run of another workload or learning rate than the injection's."""
    if injection.model != config.workload:
        raise InputError(
            f"the injection is for {injection.model}, the golden run of "
            f"{config.workload}; name a golden run of {injection.model} with --golden"
        )
    if injection.learning_rate != config.learning_rate:
        raise InputError(
            f"the injection has learning_rate {injection.learning_rate}, the golden "
            f"run {config.learning_rate}; train a golden run with tpufi golden "
            f"--learning-rate {injection.learning_rate}"
        )


def fault_of(injection: InjectionFile, session: Session) -> tuple[Site, Fault]:
    """Return the site and the fault of an injection.

    Raises:
      InputError: it does not fit the session's workload or its replicas.
    """
    table = session.program.table
    site, fault = injection.resolve(table), injection.fault(table)
    if fault.replica >= session.program.replicas:
        raise InputError(
            f"target_worker {fault.replica}: the golden run has replicas 0 "
            f"to {session.program.replicas - 1}; choose one of them"
        )
    return site, fault


def filled(
    fault: Fault, session: Session, before: State, number: int, rows: int = 1
) -> Fault:
    """Return a stale fault with the bits its elements had one step before.

    Args:
      fault: a stale fault.
      session: of the golden run.
      before: the golden state before step `number - 1`.
      number: of the fault's step, since the start of training.
      rows: of the armed program's descriptor.

    Raises:
      InputError: the fault is at the first step of training, which has none before it.
      NotActive: not all of its elements could be read.
    """
    before_it = recording(fault, session.steps_per_epoch)
    row = before_it.descriptor(session.program.table, rows)
    result = session.step(before, number - 1, row)
    injected, *_ = read_record(result.record)
    if injected.count != fault.elements.count:
        raise NotActive(
            f"{fault.site}: {injected.count} of {fault.elements.count} stale values "
            "could be read"
        )
    return holding(fault, injected.golden.tolist())


def check_injected(fault: AnyFault, record: np.ndarray, times: int = 1) -> int:
    """Return how many elements a step had the fault in.

    Of a broken unit they are the values that passed through it: how many these are,
    and whether there are any, depends on the sizes of the operations.

    Args:
      fault: the fault.
      record: of the step.
      times: replicas that it is injected into in this step, as `injections_of` tells.

    Raises:
      NotActive: these are not all elements that it names; of a fault that depends on
        values, these are more; of a unit, it was broken and nothing was drawn.
    """
    if isinstance(fault, BrokenUnit):
        passed = int(record[0])
        if passed and not times:
            raise NotActive(
                f"{fault.site}: {passed} values passed through the broken unit in a "
                "step in which it is whole"
            )
        return passed
    injected = sum(row.count for row in read_record(record))
    named = times * fault.elements.count
    values = fault.when is not None and fault.when.is_triggered
    if injected > named or (injected < named and not values):
        raise NotActive(f"{fault.site}: {injected} of {named} elements were injected")
    return injected


def injections_of(
    fault: AnyFault, table: SiteTable, replicas: int, first: int, steps: int
) -> tuple[int, ...]:
    """Return how many replicas a fault is injected into in each step, from its first.

    A unit counts if it is broken in any operation that may be one of the unit: it may
    have no part in that, but without one it has no part in the step.

    Args:
      fault: the fault.
      table: the sites of the program.
      replicas: of the training; the update is of one.
      first: its first step since the start of training.
      steps: how many steps to look at.
    """
    if isinstance(fault, BrokenUnit):
        ids = operations_of(fault.fault.unit, table)
        return broken_in(fault, ids, replicas, first, steps)
    site = table.id_of(fault.site)
    every = range(1 if table[site].direction == UPDATE else replicas)
    named = every if fault.replica == EVERY_REPLICA else [fault.replica]
    if fault.when is None:
        lasting = min(fault.duration, steps)
        return (len(named),) * lasting + (0,) * (steps - lasting)
    return tuple(
        sum(fault.when.injects(first + step, r, site, first) for r in named)
        for step in range(steps)
    )


def broken_in(
    fault: BrokenUnit, ids: Iterable[int], replicas: int, first: int, steps: int
) -> tuple[int, ...]:
    """Return on how many replicas a unit is broken in each step, from its first.

    Args:
      fault: the fault.
      ids: of the operations that may be ones of the unit.
      replicas: of the training.
      first: its first step since the start of training.
      steps: how many steps to look at.
    """
    ids, when = tuple(ids), fault.when
    named = range(replicas) if fault.replica == EVERY_REPLICA else [fault.replica]

    def draws(step: int, replica: int) -> bool:
        return any(when.injects(first + step, replica, i, first) for i in ids)

    return tuple(
        sum(draws(step, r) for r in named) if when.covers(step) else 0
        for step in range(steps)
    )


def golden_bits(fault: Fault, record: np.ndarray) -> np.ndarray:
    """Return the bits of a fault's elements before it, as far as they are recorded.

    Args:
      fault: the fault.
      record: of the step it was injected into.

    Returns:
      uint64 array, in the order of the elements: of listed ones all, of others the
      first `CAPACITY`.

    Raises:
      RuntimeError: the step had the fault in fewer elements than it names.
    """
    rows = record_numbers(record)[: fault.rows]
    injected, named = int(rows[:, 0].sum()), fault.elements.count
    # A fault that depends on values leaves some as they are.
    if injected != named and not any(fault.trigger):
        raise RuntimeError(
            f"the fault at {fault.site} changed {injected} of {named} "
            "positions: it did not become active as described"
        )
    sizes = [named]
    if isinstance(fault.elements, Listed):
        sizes = [run.stop - run.start for run in fault.elements.runs()]
    return np.concatenate(
        [row[1 : 1 + size] for row, size in zip(rows, sizes, strict=True)]
    )
