# SPDX-License-Identifier: Apache-2.0
"""Counts how often each site runs and how many elements it has, by running the program.

The rows of this run change nothing: each keeps all bits of one element, and its record
says how often that happened.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from tpufi.descriptor import EVERY_REPLICA, disarmed, fault_row, read_record
from tpufi.instrument.armed_program import ArmedProgram
from tpufi.instrument.graph_site import GraphSite
from tpufi.instrument.splice import SIZE_OF


@dataclasses.dataclass(frozen=True)
class Execution:
    """One execution of a site.

    Args:
      site: the site.
      iterations: the iteration of the loop it is in; None outside loops.
      size: number of elements.
    """

    site: GraphSite
    iterations: tuple[int, ...] | None
    size: int


def profile(armed: ArmedProgram, args: tuple, kwargs: Mapping) -> tuple[Execution, ...]:
    """Return every execution that a call makes of its armed sites, in order of ids.

    The program's variables are put back afterwards. Tensors without elements are left
    out, and so are sites in nested loops: their iterations cannot be told from a count.

    Args:
      armed: the armed program for this call.
      args: positional arguments of the call.
      kwargs: keyword arguments of the call.
    """
    before = [(variable, variable.numpy()) for variable in armed.program.variables]
    try:
        seen = _run(armed, args, kwargs)
    finally:
        for variable, value in before:
            variable.assign(value)
    executions = []
    for site in armed.sites:
        times, total = seen[site.id]
        size = site.size
        if size is None:
            size = total // times if times else 0
        if size and site.loops <= 1:
            iterations = [(i,) for i in range(times)] if site.loops else [None] * times
            executions += [Execution(site, i, size) for i in iterations]
    return tuple(executions)


def _run(armed: ArmedProgram, args: tuple, kwargs: Mapping) -> dict:
    """Return for each site how often it ran, and the sum of its sizes if not known."""
    rows = disarmed(len(armed.sites), 1)
    for row, site in zip(rows.faults, armed.sites, strict=True):
        if site.size == 0:
            continue
        watched = site.id if site.size is not None else SIZE_OF + site.id
        nothing = {"site": watched, "operation": "flip", "words": [0], "capacity": 1}
        one = fault_row(**nothing, replica=EVERY_REPLICA, start=0, count=1)
        row[:] = one.faults[0]
    _, record = armed(
        args,
        kwargs,
        tf.constant(0, tf.int64),
        tf.constant(rows.faults),
        tf.constant(rows.words),
    )
    struck = read_record(record.numpy())
    return {
        site.id: (s.count, _sum_of_first(row))
        for site, s, row in zip(armed.sites, struck, record.numpy(), strict=True)
    }


def _sum_of_first(row: np.ndarray) -> int:
    return int(row[1])
