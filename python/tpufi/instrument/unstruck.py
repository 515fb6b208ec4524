# SPDX-License-Identifier: Apache-2.0
"""Warns of faults that struck nothing."""

import warnings
from collections.abc import Callable, Iterable, Sequence

from tpufi.instrument.site_fault import SiteFault
from tpufi.instrument.strike import Strike


def warn_of_unstruck(
    faults: Iterable[SiteFault],
    strikes: Sequence[Strike],
    name: Callable[[int], str | None],
    stacklevel: int,
) -> None:
    """Warn of each fault that no execution met.

    Args:
      faults: the faults of a run or a block.
      strikes: what was struck.
      name: returns the name of a site.
      stacklevel: of the caller, see `warnings.warn`.
    """
    for fault in faults:
        own = [strike for strike in strikes if strike.fault is fault]
        if any(strike.times for strike in own):
            continue
        contexts = sorted({strike.context for strike in own})
        where = "any execution"
        if fault.iterations is not None:
            where = f"iterations {fault.iterations}"
        if fault.replica is not None:
            where += f" of replica {fault.replica}"
        if contexts:
            where += f" (context {', '.join(map(str, contexts))})"
        site = ", ".join(filter(None, (f"site {fault.site}", name(fault.site))))
        why = "it was not executed there" if own else "the program was not called"
        warnings.warn(
            f"{site}: the fault in {where} struck nothing: {why}; executions(...) "
            "tells what a call executes",
            stacklevel=stacklevel + 1,
        )
