# SPDX-License-Identifier: Apache-2.0
"""Runs shares of a campaign in processes of their own.

Each worker loads the armed program from a SavedModel and draws the faults of its runs
by their numbers, so what is injected does not depend on how many workers there are.
"""

import multiprocessing
import pathlib
import pickle
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tpufi.contrib.tensorfi.config import OperationConfig
from tpufi.contrib.tensorfi.plan import OperationPlan
from tpufi.errors import InputError
from tpufi.instrument.fault_rows import descriptor_of, rows_of
from tpufi.instrument.graph_site import GraphSite
from tpufi.instrument.injection_record import InjectionRecord, injections_of
from tpufi.instrument.profile import Execution
from tpufi.instrument.site_fault import SiteFault


class Job(NamedTuple):
    """What a worker needs to know.

    Args:
      model: folder of the armed program.
      args: arguments of the call.
      sites: the armed sites.
      executions: all executions of a run.
      config: draws the faults.
      difference: the user's function, pickled.
      runs: numbers of the worker's runs.
    """

    model: str
    args: tuple[np.ndarray, ...]
    sites: tuple[GraphSite, ...]
    executions: tuple[Execution, ...]
    config: OperationConfig
    difference: bytes
    runs: range


class Outcome(NamedTuple):
    """One run of a worker: its number, the user's difference, what was injected."""

    run: int
    difference: float
    injections: tuple[InjectionRecord, ...]


def shares(total: int, workers: int, first: int) -> list[range]:
    """Return the numbers of each worker's runs; the last takes the remainder.

    Example:
      >>> [len(runs) for runs in shares(10, 4, 0)]
      [2, 2, 2, 4]
    """
    each = total // workers
    starts = [first + each * worker for worker in range(workers)]
    return [
        range(a, b) for a, b in zip(starts, [*starts[1:], first + total], strict=True)
    ]


def pickled(function: Callable) -> bytes:
    """Return a function as bytes for a worker.

    Raises:
      InputError: it cannot be sent to another process.
    """
    try:
        return pickle.dumps(function)
    except (pickle.PicklingError, AttributeError, TypeError):
        raise InputError(
            "computeDiff cannot be sent to another process; give a function at the top "
            "level of a module, or parallel=False"
        ) from None


def run_shares(
    jobs: Sequence[Job], timeout: float | None
) -> list[list[Outcome] | None]:
    """Run each job in a process; return its outcomes, or None for one that was late.

    Args:
      jobs: what to do.
      timeout: seconds for all of them; None: no limit. Late workers are ended.

    Raises:
      RuntimeError: a worker failed; the message is its own.
    """
    context = multiprocessing.get_context(
        "spawn"
    )  # TensorFlow does not survive a fork.
    with tempfile.TemporaryDirectory() as folder:
        workers = []
        for number, job in enumerate(jobs):
            path = pathlib.Path(folder, str(number))
            worker = context.Process(target=_work, args=(job, path), daemon=True)
            worker.start()
            workers.append((worker, path))
        end = None if timeout is None else time.monotonic() + timeout
        results = []
        for worker, path in workers:
            worker.join(None if end is None else max(0.0, end - time.monotonic()))
            late = worker.is_alive()
            if late:
                worker.terminate()
                worker.join()
            elif not path.exists():
                raise RuntimeError(f"a worker ended with code {worker.exitcode}")
            results.append(None if late else _result(path))
        return results


def _result(path: pathlib.Path) -> list[Outcome]:
    result = pickle.loads(path.read_bytes())
    if isinstance(result, str):
        raise RuntimeError(f"a worker failed: {result}")
    return result


def _work(job: Job, path: pathlib.Path) -> None:
    try:
        result = _outcomes(job)
    except Exception as error:  # noqa: BLE001 - Told to the caller, whatever it is.
        result = f"{type(error).__name__}: {error}"
    part = path.with_suffix(".part")
    part.write_bytes(pickle.dumps(result))
    part.rename(path)


def _outcomes(job: Job) -> list[Outcome]:
    loaded = tf.saved_model.load(job.model)
    difference = pickle.loads(job.difference)
    args = [tf.constant(value) for value in job.args]
    sites = {site.id: site for site in job.sites}

    def inject(faults: Sequence[SiteFault]):
        rows = [row for f in faults for row in rows_of(f, sites[f.site], 1)]
        descriptor = descriptor_of(rows)
        outputs, record = loaded.armed(*args, descriptor.faults, descriptor.words)
        return outputs, injections_of(rows, record.numpy())

    def golden(execution: Execution, elements: Sequence[int]) -> np.ndarray:
        keep_all = SiteFault(
            execution.site.id, elements, -1, (0,), execution.iterations
        )
        _, injections = inject([keep_all])
        found = {
            int(e): word
            for s in injections
            for e, word in zip(s.elements, s.golden, strict=True)
        }
        return np.array([found[int(e)] for e in elements], np.uint64)

    plan = OperationPlan(job.config)
    outcomes = []
    for run in job.runs:
        outputs, injections = inject(plan.faults(run, job.executions, golden))
        outcomes.append(Outcome(run, float(difference(outputs)), injections))
    return outcomes
