# SPDX-License-Identifier: Apache-2.0
"""TensorFI's pLaunch: the runs of one launch, shared among processes."""

import logging
import os
import tempfile
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tpufi.errors import InputError
from tpufi.instrument.tensorfi.parallel import Job, pickled, run_shares, shares
from tpufi.instrument.tensorfi.statistics import FIStat, count_run

if TYPE_CHECKING:
    from tpufi.instrument.tensorfi.injector import TensorFI

_logger = logging.getLogger("tpufi.instrument")


def launch_shares(
    injector: "TensorFI",
    total: int,
    workers: int,
    difference: Callable[[object], float],
    statistics: Sequence[FIStat],
    parallel: bool,
    timeout: float | None,
) -> list[int]:
    """Run `total` runs in shares; see `TensorFI.pLaunch`."""
    if workers < 1 or len(statistics) != workers or total < 0:
        raise InputError(
            f"{total} runs in {workers} shares with {len(statistics)} statistics; give "
            "0 or more, 1 or more, and one for each share"
        )
    if not parallel:
        for runs, stats in zip(shares(total, workers, 0), statistics, strict=True):
            injector.launch(len(runs), difference, stats)
        return []
    function = pickled(difference)
    args, kwargs = injector.needed_call()
    if kwargs:
        raise InputError("pLaunch takes no keyword arguments of the program")
    fi, config = injector.instrumented, injector.config
    first = injector.planned.next
    with tempfile.TemporaryDirectory() as folder:
        model = os.path.join(folder, "armed")
        fi.save(model, *args)
        arrays = tuple(np.asarray(value) for value in args)
        found = fi.armed(*args).sites, fi.executions(*args)
        job = Job(model, arrays, *found, config, function, range(0))
        jobs = [job._replace(runs=runs) for runs in shares(total, workers, first)]
        results = run_shares(jobs, timeout)
    injector.planned.next += total
    for stats, outcomes in zip(statistics, results, strict=True):
        stats.init()
        for outcome in outcomes or ():
            count_run(stats, outcome.difference, outcome.strikes, config.legacy)
            injector.log_strikes(outcome.run, outcome.strikes)
    late = [share for share, outcomes in enumerate(results) if outcomes is None]
    if late:
        _logger.warning("shares %s were late and ended", late)
    return late
