# SPDX-License-Identifier: Apache-2.0
"""A worker process: runs blocks of experiments and reports over a pipe."""

import ctypes
import os
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

from tpufi.campaign.engine.events import Runner, attempted
from tpufi.errors import InputError
from tpufi.training import make_deterministic

# What a worker sends, as (name, value).
READY, REFUSED, ALIVE = "ready", "refused", "alive"
BEGUN, ENDED, DONE = "begun", "ended", "done"

RunnerFactory = Callable[[Callable[[], None]], Runner]

_SECONDS_BETWEEN_SIGNS = 1.0
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


def serve(connection: Connection, make: RunnerFactory, parent: int) -> None:
    """Run what comes until None comes.

    Args:
      connection: to the campaign; blocks come, reports go.
      make: makes the runner; its argument is to be called while it works.
      parent: process that this one must not outlive.
    """
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    # Ctrl-C reaches all processes of a terminal; only the campaign acts on it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    make_deterministic()
    try:
        runner = make(_Signs(connection))
        connection.send((READY, None))
        while (block := connection.recv()) is not None:
            for number in block.numbers:
                connection.send((BEGUN, number))
                event = attempted(runner, number, block.attempt)
                connection.send((ENDED, event))
            connection.send((DONE, None))
    except InputError as error:
        connection.send((REFUSED, str(error)))
    except (EOFError, BrokenPipeError):
        pass  # The campaign is gone.


class _Signs:
    """Signs of life, not too many."""

    def __init__(self, connection: Connection):
        self._connection = connection
        self._sent = 0.0

    def __call__(self) -> None:
        now = time.monotonic()
        if now - self._sent >= _SECONDS_BETWEEN_SIGNS:
            self._sent = now
            self._connection.send((ALIVE, None))
