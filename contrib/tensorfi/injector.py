# SPDX-License-Identifier: Apache-2.0
"""TensorFI's class, over an instrumented program instead of a patched session."""

import logging
import os
import pathlib
import tempfile
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from tpufi.contrib.tensorfi.config import (
    FIConfig,
    OperationConfig,
    operation_config,
    read_config,
)
from tpufi.contrib.tensorfi.fault_log import FaultLog
from tpufi.contrib.tensorfi.parallel import Job, pickled, run_shares, shares
from tpufi.contrib.tensorfi.plan import OperationPlan
from tpufi.contrib.tensorfi.statistics import FIStat, count_run
from tpufi.errors import InputError
from tpufi.instrument.instrumented import Instrumented
from tpufi.instrument.options import Options
from tpufi.instrument.planned import PlannedRuns
from tpufi.instrument.programs import as_callable

_logger = logging.getLogger("tpufi.instrument")


class TensorFI:
    """Injects the faults of a TensorFI configuration into a program.

    Names and meanings are TensorFI's where docs/from_tensorfi.md does not say
    otherwise. Each object has its own configuration, counters and log.

    Args:
      s: the program, anything that `tpufi.instrument` takes; called as this object is.
      configFileName: YAML file, or a mapping with the same keys.
      logDir: folder of the logs; made if it does not exist.
      logLevel: level of the logger `tpufi.instrument`.
      disableInjections: whether to start with injections off.
      name: in the name of the log file.
      fiPrefix: prefix of the names that `printInjectMap` prints.
      legacy: whether TensorFI's tolerances and bit model hold; None: the file says.
      logText: whether to write the log in TensorFI's text form too.
      feeds: see `tpufi.instrument`.
      fetches: see `tpufi.instrument`.

    Raises:
      InputError: the configuration is wrong, or the log cannot be written.
    """

    def __init__(
        self,
        s: object,
        configFileName: str | os.PathLike | Mapping = "confFiles/default.yaml",
        logDir: str | os.PathLike = "faultLogs/",
        logLevel: int = logging.WARNING,
        disableInjections: bool = False,
        name: str = "NoName",
        fiPrefix: str = "fi_",
        *,
        legacy: bool | None = None,
        logText: bool = False,
        feeds: Sequence[str] = (),
        fetches: Sequence[str] = (),
    ):
        config = operation_config(read_config(configFileName), legacy)
        self._config = FIConfig(config)
        self._planned = PlannedRuns(OperationPlan(config))
        self._choose = OperationPlan(config).choose
        self._fi = Instrumented(
            as_callable(s, feeds, fetches), self._choose, None, None,
            Options("straight_through"), 1,
        )  # fmt: skip
        self.name, self._prefix = name, fiPrefix
        self._log = FaultLog(logDir, name, logText)
        self._on = not disableInjections
        self._cached: tuple[tuple, dict] | None = None
        self.setLogLevel(logLevel)

    def __call__(self, *args, **kwargs):
        """Run the program; with injections on, as the next run of the campaign."""
        self._cached = args, kwargs
        return self._run(args, kwargs)[0]

    def turnOffInjections(self) -> None:
        """Make calls go to the program itself."""
        self._on = False

    def turnOnInjections(self) -> None:
        """Make calls run with the faults of the configuration."""
        self._on = True

    def launch(
        self,
        numInjections: int,
        computeDiff: Callable[[object], float],
        collectStats: FIStat | None = None,
        myID: int = 0,
    ) -> FIStat:
        """Repeat the last call with faults, and count how often its result is wrong.

        Args:
          numInjections: runs, >= 0.
          computeDiff: returns how wrong a result is; above 0, or NaN, is incorrect.
          collectStats: counts; set to zero first.
          myID: in messages only.

        Raises:
          InputError: there was no call yet, or `numInjections` is negative.
        """
        if numInjections < 0:
            raise InputError(
                f"numInjections {numInjections} is negative; give 0 or more"
            )
        args, kwargs = self.needed_call()
        _logger.info("launch %d: %d runs", myID, numInjections)
        stats = FIStat() if collectStats is None else collectStats
        stats.init()
        self.turnOnInjections()
        for _ in range(numInjections):
            outputs, injections = self._run(args, kwargs)
            count_run(stats, computeDiff(outputs), injections, self.config.legacy)
        return stats

    def pLaunch(
        self,
        numberOfInjections: int,
        numberOfProcesses: int,
        computeDiff: Callable[[object], float],
        collectStatsList: Sequence[FIStat],
        parallel: bool = True,
        useProcesses: bool = True,
        timeout: float | None = None,
    ) -> list[int]:
        """Share `launch` among processes.

        The runs are those of one `launch` of the same number, whatever the number of
        processes. Each share is the floor of its part, and the last takes the rest.

        Args:
          numberOfInjections: runs in all, >= 0.
          numberOfProcesses: shares, >= 1.
          computeDiff: see `launch`; at the top level of a module.
          collectStatsList: one for each share; set to zero first.
          parallel: False runs the shares one after the other in this process.
          useProcesses: False does the same: threads would only wait for each other.
          timeout: seconds for all shares; None: no limit.

        Returns:
          The shares that were late: they were ended and count nothing.

        Raises:
          InputError: an argument is out of its range; see also `launch`.
        """
        return self._launch_shares(
            numberOfInjections,
            numberOfProcesses,
            computeDiff,
            collectStatsList,
            parallel and useProcesses,
            timeout,
        )

    def run(
        self,
        numInjections: int,
        createDiff: Callable[[object], Callable[[object], float]],
        args: tuple = (),
        kwargs: Mapping | None = None,
        collectStats: FIStat | None = None,
    ) -> FIStat:
        """Run once without faults, then `launch` with `createDiff(golden result)`."""
        self.turnOffInjections()
        golden = self(*args, **(kwargs or {}))
        return self.launch(numInjections, createDiff(golden), collectStats)

    def doneInjections(self) -> Callable:
        """Take the sites out and close the log; may be called again."""
        self._on = False
        self._log.close()
        return self._fi.detach()

    def getFIConfig(self) -> FIConfig:
        """Return the live configuration; what is changed in it holds from then on."""
        return self._config

    def initFIConfig(self, params: Mapping) -> None:
        """Replace the configuration and begin with run 0 again.

        Raises:
          InputError: it is wrong, or needs operations that the first one did not name.
        """
        self._config = FIConfig(operation_config(read_config(params)))
        self._planned = PlannedRuns(OperationPlan(self._config.frozen()))

    def getLogLevel(self) -> int:
        """Return the level of the logger `tpufi.instrument`."""
        return _logger.level

    def setLogLevel(self, level: int) -> None:
        """Set the level of the logger `tpufi.instrument`."""
        _logger.setLevel(level)

    def printGraph(self) -> None:
        """Print the sites; the program has to have been called with faults."""
        print(self._fi.describe())

    def printInjectMap(self) -> None:
        """Print each site's name and the name of its fault op."""
        for site in self._fi.sites:
            print(f"{site.name} : {self._prefix}{site.name}")

    @property
    def instrumented(self) -> Instrumented:
        """The instrumented program."""
        return self._fi

    @property
    def config(self) -> OperationConfig:
        """The configuration as it is now."""
        return self._config.frozen()

    @property
    def log_path(self) -> pathlib.Path:
        """The log in JSON lines."""
        return self._log.path

    @property
    def planned(self) -> PlannedRuns:
        """Draws the faults, and counts the runs."""
        return self._planned

    def needed_call(self) -> tuple[tuple, dict]:
        """Return the arguments of the last call, which launches repeat."""
        if self._cached is None:
            raise InputError("launch repeats the last call; call the program first")
        return self._cached

    def log_injections(self, number: int, injections: Sequence) -> None:
        """Add what was injected in a run to the log."""
        config = self.config
        about = {"seed": config.seed, "mode": config.mode, "name": self.name}
        self._log.add(number, about, injections)

    def _run(self, args: tuple, kwargs: dict) -> tuple[object, tuple]:
        if not self._on:
            return self._fi(*args, **kwargs), ()
        if not tf.executing_eagerly():
            raise InputError(
                "TensorFI draws faults for eager calls; call it outside tf.function, "
                "or use tpufi.instrument(...).injected(faults)"
            )
        planned = self._planned
        planned.plan = OperationPlan(self.config)
        number = planned.next
        run = planned.run(self._fi, args, kwargs)
        self.log_injections(number, run.injections)
        return run.outputs, run.injections

    def _launch_shares(
        self,
        total: int,
        workers: int,
        difference: Callable[[object], float],
        statistics: Sequence[FIStat],
        parallel: bool,
        timeout: float | None,
    ) -> list[int]:
        """Run `total` runs in shares; see `pLaunch`."""
        if workers < 1 or len(statistics) != workers or total < 0:
            raise InputError(
                f"{total} runs in {workers} shares with {len(statistics)} statistics; "
                "give 0 or more, 1 or more, and one for each share"
            )
        if not parallel:
            for runs, stats in zip(shares(total, workers, 0), statistics, strict=True):
                self.launch(len(runs), difference, stats)
            return []
        function = pickled(difference)
        args, kwargs = self.needed_call()
        if kwargs:
            raise InputError("pLaunch takes no keyword arguments of the program")
        fi, config = self.instrumented, self.config
        first = self.planned.next
        with tempfile.TemporaryDirectory() as folder:
            model = os.path.join(folder, "armed")
            fi.save(model, *args)
            arrays = tuple(np.asarray(value) for value in args)
            found = fi.armed(*args).sites, fi.executions(*args)
            job = Job(model, arrays, *found, config, function, range(0))
            jobs = [job._replace(runs=runs) for runs in shares(total, workers, first)]
            results = run_shares(jobs, timeout)
        self.planned.next += total
        for stats, outcomes in zip(statistics, results, strict=True):
            stats.init()
            for outcome in outcomes or ():
                count_run(stats, outcome.difference, outcome.injections, config.legacy)
                self.log_injections(outcome.run, outcome.injections)
        late = [share for share, outcomes in enumerate(results) if outcomes is None]
        if late:
            _logger.warning("shares %s were late and ended", late)
        return late
