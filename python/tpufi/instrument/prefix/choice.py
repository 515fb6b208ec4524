# SPDX-License-Identifier: Apache-2.0
"""Decides whether a clean prefix pays: on answers it has no influence."""

import time

from tpufi.errors import InputError
from tpufi.instrument.instrumented import Instrumented
from tpufi.instrument.prefix.clean_prefix import CleanPrefix
from tpufi.instrument.prefix.cut_program import CutProgram

# It takes up to half of a run's time away, and making the cuts takes some seconds:
# measured with tools/bench_instrument.py, docs/instrument.md.
SHORTEST_RUN, SHORTEST_CAMPAIGN = 0.02, 30.0


def cuts_that_pay(
    fi: Instrumented, args: tuple, runs: int, wanted: bool | None
) -> CutProgram | None:
    """Return the cuts to run a program by; None: run it whole.

    Args:
      fi: the program.
      args: arguments of a call.
      runs: how many runs there will be.
      wanted: whether the user wants cuts; None: if the runs take long enough and the
        parts have the bits of the whole.

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
        CleanPrefix(fi, cuts, args).check()
    except InputError:
        return None  # It cannot be run in part, which nobody asked for.
    return cuts
