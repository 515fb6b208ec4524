# SPDX-License-Identifier: Apache-2.0
"""Tells by running the program how often sites run, their sizes and their ranges.

The rows of these runs change nothing: each keeps all bits of its elements, and its
record says how often that happened and what the elements were.
"""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf

from tpufi.descriptor import (
    EVERY_REPLICA,
    Injected,
    disarmed,
    fault_row,
    read_record,
)
from tpufi.element import from_words
from tpufi.instrument.armed_program import ArmedProgram
from tpufi.instrument.context import context
from tpufi.instrument.graph_site import GraphSite
from tpufi.instrument.site_ops import RANGE_OF, SIZE_OF


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
    sites = [site for site in armed.sites if site.size != 0]
    watched = [s.id if s.size is not None else SIZE_OF + s.id for s in sites]
    rows = [(site, EVERY_REPLICA, 1) for site in watched]
    executions = []
    for site, seen in zip(sites, _watch(armed, args, kwargs, rows), strict=True):
        # The sizes of all executions are added up.
        times, total, size = seen.count, sum(map(int, seen.golden)), site.size
        if size is None:
            size = total // times if times else 0
        if size and site.loops <= 1:
            iterations = [(i,) for i in range(times)] if site.loops else [None] * times
            executions += [Execution(site, i, size) for i in iterations]
    return tuple(executions)


def ranges(
    armed: ArmedProgram, args: tuple, kwargs: Mapping
) -> dict[str, tuple[float, float]]:
    """Return the smallest and the largest value of floating-point sites in a call.

    The program's variables are put back afterwards. Sites that did not run or have no
    elements are left out, and so are those in nested loops, as in `profile`.

    Args:
      armed: the armed program for this call.
      args: positional arguments of the call.
      kwargs: keyword arguments of the call.

    Returns:
      By name of the site.
    """
    sites = [site for site in armed.sites if "float" in site.dtype]
    places = [(s, EVERY_REPLICA) for s in sites if not s.loops and s.size != 0]
    if any(site.loops for site in sites):
        places += [
            (execution.site, context(0, execution.iterations))
            for execution in profile(armed, args, kwargs)
            if execution.site.loops and "float" in execution.site.dtype
        ]
    rows = [(RANGE_OF + site.id, where, 2) for site, where in places]
    found: dict[str, tuple[float, float]] = {}
    watched = _watch(armed.with_ranges, args, kwargs, rows)
    for (site, _), seen in zip(places, watched, strict=True):
        low, high = np.inf, -np.inf
        if seen.count:
            low, high = from_words(seen.golden, site.dtype).astype(np.float64).tolist()
        if not low > high:  # Otherwise there was no element.
            old = found.get(site.name, (low, high))
            found[site.name] = min(low, old[0]), max(high, old[1])
    return found


@contextlib.contextmanager
def restored(variables: Sequence[tf.Variable]) -> Iterator[None]:
    """Give variables their values back at the end of a `with` block."""
    before = [(variable, variable.numpy()) for variable in variables]
    try:
        yield
    finally:
        for variable, value in before:
            variable.assign(value)


def _watch(
    armed: ArmedProgram,
    args: tuple,
    kwargs: Mapping,
    rows: Sequence[tuple[int, int, int]],
) -> list[Injected]:
    """Run a call; return what was seen of each (site, context, number of elements)."""
    capacity = max((count for _, _, count in rows), default=1)
    given = disarmed(max(len(rows), 1), capacity)
    for row, (site, where, count) in zip(given.faults, rows, strict=False):
        nothing = {"operation": "flip", "words": [0], "capacity": capacity}
        one = fault_row(site=site, replica=where, start=0, count=count, **nothing)
        row[:] = one.faults[0]
    replica = tf.constant(context(0), tf.int64)
    with restored(armed.program.variables):
        _, record = armed(
            args, kwargs, replica, tf.constant(given.faults), tf.constant(given.words)
        )
    return list(read_record(record.numpy()))[: len(rows)]
