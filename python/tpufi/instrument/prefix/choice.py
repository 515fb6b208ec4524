# SPDX-License-Identifier: Apache-2.0
"""Decides whether a clean prefix pays: on answers it has no influence."""

import math
import time

from tpufi.errors import InputError
from tpufi.instrument.instrumented import Instrumented
from tpufi.instrument.prefix.clean_prefix import CleanPrefix
from tpufi.instrument.prefix.cut_program import CutProgram
from tpufi.instrument.site_fault import SiteFault

# Below these, in seconds, making the cuts is not worth the time it takes.
SHORTEST_RUN, SHORTEST_CAMPAIGN = 0.02, 30.0


def cuts_that_pay(
    fi: Instrumented, args: tuple, runs: int, wanted: bool | None
) -> CutProgram | None:
    """Return the cuts to run a program by; None: run it whole.

    Args:
      fi: the program.
      args: arguments of a call.
      runs: how many runs there will be.
      wanted: whether the user wants cuts; None: if the runs take long enough, the parts
        have the bits of the whole, and the part from the middle on is faster than it.

    Raises:
      InputError: they are wanted, and the program cannot be run in part.
    """
    if wanted is not None:
        return CutProgram(fi.armed(*args)) if wanted else None
    fi.strike((), *args)
    begun = time.perf_counter()
    fi.strike((), *args)
    seconds = time.perf_counter() - begun
    if seconds < SHORTEST_RUN or seconds * runs < SHORTEST_CAMPAIGN:
        return None
    try:
        cuts = CutProgram(fi.armed(*args))
        prefix = CleanPrefix(fi, cuts, args)
        prefix.check()
    except InputError:
        return None  # It cannot be run in part, which nobody asked for.
    return cuts if _from_the_middle(prefix, cuts) < seconds else None


def _from_the_middle(prefix: CleanPrefix, cuts: CutProgram) -> float:
    """Return the seconds of a run from the middle cut on; without cuts: inf."""
    if not cuts.firsts:
        return math.inf
    keep_all, same = -1, (0,)
    fault = SiteFault(cuts.firsts[len(cuts.firsts) // 2], (0,), keep_all, same)
    prefix.strike([fault])
    begun = time.perf_counter()
    prefix.strike([fault])
    return time.perf_counter() - begun
