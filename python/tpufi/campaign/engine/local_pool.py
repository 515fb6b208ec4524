# SPDX-License-Identifier: Apache-2.0
"""Worker processes on this machine; one that crashes or hangs is replaced."""

import dataclasses
import multiprocessing
import multiprocessing.connection
import os
import time
from multiprocessing.process import BaseProcess

from tpufi.campaign.engine import worker
from tpufi.campaign.engine.block_queue import Block
from tpufi.campaign.engine.events import Event, Finished
from tpufi.campaign.engine.pool import Pool, PoolWorker
from tpufi.campaign.engine.unplanned import CRASHED, HUNG
from tpufi.errors import InputError

_STARTS = 2


@dataclasses.dataclass
class _Worker(PoolWorker):
    """A process and what is known of it."""

    process: BaseProcess
    connection: multiprocessing.connection.Connection
    heard: float
    done: set[int] = dataclasses.field(default_factory=set)
    begun: int | None = None


class LocalPool(Pool):
    """Worker processes.

    Args:
      make: makes the runner in each process; has to be picklable.
      size: number of processes, >= 1.
      timeout: seconds without a sign of life after which a worker hangs; a step or a
        trace of the program gives none.
      start_timeout: the same until it is ready.
      method: how processes start, as `multiprocessing` names it; TensorFlow, once it
        has run, does not survive a fork.
    """

    def __init__(
        self,
        make: worker.RunnerFactory,
        size: int,
        timeout: float,
        start_timeout: float,
        method: str = "spawn",
    ):
        self._context = multiprocessing.get_context(method)
        self._make = make
        self._timeout = timeout
        self._start_timeout = start_timeout
        super().__init__(size, _STARTS)

    def hand(self, worker: int, block: Block) -> None:
        """Give a block to an idle worker."""
        found = self._workers[worker]
        found.block, found.done, found.begun = block, set(), None
        found.heard = time.monotonic()
        self.idle.discard(worker)
        try:
            found.connection.send(block)
        except OSError:
            pass  # Its end is noticed with the next events.

    def events(self, seconds: float) -> list[Event]:
        """Wait for reports; see `Pool`."""
        waiting = {w.connection: number for number, w in enumerate(self._workers)}
        found: list[Event] = []
        for connection in multiprocessing.connection.wait(list(waiting), seconds):
            found.extend(self._read(waiting[connection]))
        now = time.monotonic()
        for number, one in enumerate(self._workers):
            limit = self._timeout if one.ready else self._start_timeout
            if (one.block or not one.ready) and now - one.heard > limit:
                text = f"no sign of life for {limit:g} s"
                found.append(self._lost(number, HUNG, text))
        return found

    def close(self) -> None:
        """End all processes at once."""
        for one in self._workers:
            one.process.kill()
        for one in self._workers:
            one.process.join()
            one.connection.close()

    def _read(self, number: int) -> list[Event]:
        """Read all that a worker has sent."""
        one = self._workers[number]
        found: list[Event] = []
        try:
            while one.connection.poll():
                found.extend(self._note(number, one, *one.connection.recv()))
        except (EOFError, OSError):
            one.process.join()
            text = f"the worker ended with code {one.process.exitcode}"
            found.append(self._lost(number, CRASHED, text))
        return found

    def _note(self, number: int, one: _Worker, name: str, value) -> list[Event]:
        one.heard = time.monotonic()
        if name == worker.REFUSED:
            raise InputError(value)
        if name == worker.READY:
            self._is_ready(number)
        elif name == worker.BEGUN:
            one.begun = value
        elif name == worker.ENDED:
            is_row = isinstance(value, Finished)
            one.done.add(value.row.experiment if is_row else value.number)
            one.begun = None
            return [value]
        elif name == worker.DONE:
            self._is_done(number)
        return []

    def _lost(self, number: int, outcome: str, error: str) -> Event:
        one = self._workers[number]
        return self._replace(number, outcome, error, frozenset(one.done), one.begun)

    def _end(self, worker: _Worker) -> None:
        worker.process.kill()
        worker.process.join()
        worker.connection.close()

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=worker.serve, args=(theirs, self._make, os.getpid()), daemon=True
        )
        process.start()
        theirs.close()
        return _Worker(process, ours, time.monotonic())
