# SPDX-License-Identifier: Apache-2.0
"""Injecting a fault into a step: making it ready, and reading what it did."""

import numpy as np

from tpufi.descriptor import read_record
from tpufi.errors import InputError
from tpufi.fault import Fault
from tpufi.faults.injection_file import InjectionFile
from tpufi.golden import GoldenConfig
from tpufi.site_table import Site
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


def check_injected(fault: Fault, record: np.ndarray) -> None:
    """Raise NotActive unless a step had the fault in all elements that it names."""
    injected = sum(row.count for row in read_record(record))
    if injected != fault.elements.count:
        raise NotActive(
            f"{fault.site}: {injected} of {fault.elements.count} elements were injected"
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
    rows = read_record(record)
    injected = sum(row.count for row in rows)
    if injected != fault.elements.count:
        raise RuntimeError(
            f"the fault at {fault.site} changed {injected} of {fault.elements.count} "
            "positions: it did not become active as described"
        )
    return np.concatenate([row.golden for row in rows if row.count])
