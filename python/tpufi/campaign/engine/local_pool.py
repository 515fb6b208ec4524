# SPDX-License-Identifier: Apache-2.0
"""Worker processes on this machine; one that crashes or hangs is replaced."""

import ctypes
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext

from tpufi.campaign.engine import worker
from tpufi.campaign.engine.block_queue import Block
from tpufi.campaign.engine.pool import Pool
from tpufi.campaign.engine.unplanned import CRASHED, HUNG
from tpufi.errors import InputError

_ALIVE = "alive"  # What a process sends besides answers.
_SECONDS_BETWEEN_SIGNS = 1.0
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


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
        self._how = multiprocessing.get_context(method), make, timeout, start_timeout
        # A process that another thread forks must not inherit this one's pipe.
        self._one_starts = threading.Lock()
        super().__init__(size)

    def _start(self) -> worker.Worker:
        with self._one_starts:
            return _LocalWorker(*self._how)


class _LocalWorker(worker.Worker):
    """A process at the other end of a pipe, which closes however the process ends."""

    def __init__(
        self,
        context: BaseContext,
        make: worker.RunnerFactory,
        timeout: float,
        start_timeout: float,
    ):
        self._timeout, self._start_timeout = timeout, start_timeout
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, make, os.getpid()), daemon=True
        )
        self._process.start()
        theirs.close()

    def ready(self) -> InputError | None:
        return self._answer(self._start_timeout)

    def run(self, block: Block) -> Iterator[worker.Answer]:
        try:
            self._connection.send(block)
        except OSError:
            pass  # Its end is noticed with the first answer.
        for _ in block.numbers:
            yield self._answer(self._timeout)

    def kill(self) -> None:
        self._process.kill()
        self._process.join()

    def _answer(self, limit: float) -> worker.Answer | None:
        try:
            while self._connection.poll(limit):
                if (answer := self._connection.recv()) != _ALIVE:
                    return answer
        except (EOFError, OSError):
            self._process.join()
            text = f"the worker ended with code {self._process.exitcode}"
            raise worker.WorkerLost(CRASHED, text) from None
        raise worker.WorkerLost(HUNG, f"no sign of life for {limit:g} s")


def _serve(connection: Connection, make: worker.RunnerFactory, parent: int) -> None:
    """Answer in the worker's process, which must not outlive its parent."""
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    # Ctrl-C reaches all processes of a terminal; only the campaign acts on it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    told = time.monotonic()

    def alive() -> None:
        nonlocal told
        if time.monotonic() - told >= _SECONDS_BETWEEN_SIGNS:
            told = time.monotonic()
            connection.send(_ALIVE)

    host = worker.RunnerHost()
    try:
        connection.send(host.make(make, alive))
        while True:
            block = connection.recv()
            for number in block.numbers:
                connection.send(host.run(number, block.attempt))
    except (EOFError, BrokenPipeError):
        pass  # The campaign is gone.
