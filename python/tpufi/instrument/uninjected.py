# SPDX-License-Identifier: Apache-2.0
"""Warns of faults that were not injected."""

import warnings
from collections.abc import Callable, Iterable, Sequence

from tpufi.descriptor import EVERY_REPLICA
from tpufi.instrument.injection_record import InjectionRecord
from tpufi.instrument.site_fault import Given, SiteFault
from tpufi.instrument.unit_record import UnitRecord
from tpufi.units import UnitFault


def warn_of_uninjected(
    faults: Iterable[Given],
    injections: Sequence[InjectionRecord | UnitRecord],
    name: Callable[[int], str | None],
    stacklevel: int,
    uncalled: str = "the program was not called",
) -> None:
    """Warn of each fault that no execution met.

    Args:
      faults: the faults of a run or a block.
      injections: what was injected.
      name: returns the name of a site.
      stacklevel: of the caller, see `warnings.warn`.
      uncalled: why there may have been no call.
    """
    for fault in faults:
        own = [injection for injection in injections if injection.fault is fault]
        if isinstance(fault, UnitFault):
            if not any(injection.passed for injection in own):
                none = "no value passed through it while it was broken; give another "
                none += "place, moment or replica"
                warnings.warn(
                    f"the broken unit did nothing: {none if own else uncalled}",
                    stacklevel=stacklevel + 1,
                )
            continue
        if any(injection.times for injection in own):
            continue
        contexts = sorted({injection.context for injection in own})
        where = "any execution"
        if fault.iterations is not None:
            where = f"iterations {fault.iterations}"
        if fault.replica not in (None, EVERY_REPLICA):
            where += f" of replica {fault.replica}"
        if contexts:
            where += f" (context {', '.join(map(str, contexts))})"
        site = f"site {fault.site}"
        if isinstance(fault, SiteFault) and (named := name(fault.site)):
            site += f", {named}"
        why = "the site was not executed there" if own else uncalled
        warnings.warn(
            f"{site}: the fault in {where} was not injected: {why}; executions(...) "
            "tells what a call executes",
            stacklevel=stacklevel + 1,
        )
