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

_BEGUN, _ALIVE = "begun", "alive"  # What a process sends besides answers.
_LONGEST_WAIT = 1.0
_SECONDS_BETWEEN_SIGNS = 1.0
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


class LocalPool(Pool):
    """Worker processes.

    Args:
      make: makes the runner in each process; has to be picklable.
      size: number of processes, >= 1.
      timeout: seconds without a sign of life after which a worker hangs; a step or a
        trace of the program gives none. The first experiment of a worker, which traces
        what others find traced, has as many more as its start took.
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
    """A process at the other end of a pipe, which closes however the process ends.

    Time in which the campaign itself was stopped, or had no processor, is not counted.
    """

    def __init__(
        self,
        context: BaseContext,
        make: worker.RunnerFactory,
        timeout: float,
        start_timeout: float,
    ):
        self._timeout, self._start_timeout = timeout, start_timeout
        self._made, self._start_took = time.monotonic(), 0.0
        self._has_begun = True  # An experiment, or the start.
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, make, os.getpid()), daemon=True
        )
        self._process.start()
        theirs.close()

    def ready(self) -> InputError | None:
        answer = self._answer(self._start_timeout)
        self._start_took = time.monotonic() - self._made
        return answer

    def run(self, block: Block) -> Iterator[worker.Answer]:
        try:
            self._connection.send(block)
        except OSError:
            pass  # Its end is noticed with the first answer.
        for _ in block.numbers:
            self._has_begun = False
            answer = self._answer(self._timeout, self._start_took)
            self._start_took = 0.0
            yield answer

    def kill(self) -> None:
        self._process.kill()
        self._process.join()

    def _answer(self, limit: float, more: float = 0.0) -> worker.Answer | None:
        wait = min(_LONGEST_WAIT, limit / 4)
        left = limit + more
        try:
            while left > 0:
                asked = time.monotonic()
                if not self._connection.poll(wait):
                    left -= min(wait, time.monotonic() - asked)
                    continue
                left = limit + more
                match self._connection.recv():
                    case str(sign):
                        self._has_begun |= sign == _BEGUN
                    case answer:
                        return answer
        except (EOFError, OSError):
            self._process.join()
            text = f"the worker ended with code {self._process.exitcode}"
            raise worker.WorkerLost(CRASHED, text, self._has_begun) from None
        text = f"no sign of life for {limit:g} s"
        raise worker.WorkerLost(HUNG, text, self._has_begun)


def _serve(connection: Connection, make: worker.RunnerFactory, parent: int) -> None:
    """Answer in the worker's process, which must not outlive its parent."""
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    # Ctrl-C reaches all processes of a terminal; only the campaign acts on it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
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
                connection.send(_BEGUN)
                connection.send(host.run(number, block.attempt))
    except (EOFError, BrokenPipeError):
        pass  # The campaign is gone.
