# SPDX-License-Identifier: Apache-2.0
"""Hands experiments to workers and their rows back, whatever happens to the workers.

A thread for each worker starts it, waits for it, and starts another one if it is lost.
All else, the queue of experiments included, belongs to the thread of the campaign.
"""

import abc
import queue
import threading
from collections.abc import Callable, Iterator

from tpufi.campaign.engine.block_queue import BlockQueue
from tpufi.campaign.engine.unplanned import FAILED
from tpufi.campaign.engine.worker import Answer, Failed, Worker, WorkerLost
from tpufi.campaign.journal.row import Row

_STARTS = 3  # A worker that is lost before it begins, so often in a row, never does.
_SECONDS_TO_WAIT = 0.5
_SECONDS_TO_END = 10.0

GivenUp = Callable[[int, str, str], Row]


class _NeverReady(RuntimeError):
    """Workers cannot be started."""


class Pool(abc.ABC):
    """Workers that run blocks; one that is lost is replaced.

    Args:
      size: number of workers, >= 1.

    Attributes:
      size: number of workers.
    """

    def __init__(self, size: int):
        self.size = size
        self._idle: set[int] = set()
        self._busy: set[int] = set()
        # Answers, errors to raise, and (worker, block, done, error) of one that is idle
        # (no block) or was lost.
        self._events: queue.SimpleQueue = queue.SimpleQueue()
        self._blocks = [queue.SimpleQueue() for _ in range(size)]
        self._workers: dict[int, Worker] = {}
        self._failed_starts = [0] * size
        self._is_ending = threading.Event()
        self._threads = [
            threading.Thread(target=self._serve, args=(number,), daemon=True)
            for number in range(size)
        ]
        for thread in self._threads:
            thread.start()

    def run(
        self, left: BlockQueue, given_up: GivenUp, stopping: Callable[[], bool]
    ) -> Iterator[list[Row]]:
        """Run what is left; yield rows as they come, twice a second, perhaps none.

        Args:
          left: what the workers are to do.
          given_up: returns the row of an experiment that failed twice, from its number,
            an outcome of `unplanned` and the error.
          stopping: whether no more blocks are to be handed out; those that were are
            ended.

        Raises:
          InputError: a worker refuses: the set-up is wrong.
          RuntimeError: workers cannot be started.
        """
        while True:
            if len(left) and not stopping():
                for worker in sorted(self._idle):
                    if (block := left.take(worker)) is not None:
                        self._idle.remove(worker)
                        self._busy.add(worker)
                        self._blocks[worker].put(block)
            if not self._busy and (stopping() or not len(left)):
                return
            events = list(self._waited())
            # Who ends a campaign may have ended its workers first.
            if stopping() and any(isinstance(event, _NeverReady) for event in events):
                return
            rows = (self._row_of(event, left, given_up) for event in events)
            yield [row for row in rows if row is not None]

    def close(self) -> None:
        """End all workers at once: the journal has what they have reported."""
        self._is_ending.set()
        for blocks in self._blocks:
            blocks.put(None)
        for worker in list(self._workers.values()):
            worker.kill()
        for thread in self._threads:
            thread.join(_SECONDS_TO_END)

    @abc.abstractmethod
    def _start(self) -> Worker:
        """Return a new worker; threads call this."""

    def _waited(self) -> Iterator[object]:
        """Yield what comes within a moment, at once if there is something."""
        try:
            yield self._events.get(timeout=_SECONDS_TO_WAIT)
            while True:
                yield self._events.get_nowait()
        except queue.Empty:
            return

    def _row_of(self, event: object, left: BlockQueue, given_up: GivenUp) -> Row | None:
        number = None
        match event:
            case Row():
                return event
            case Failed(number, attempt, error):
                number, outcome = left.failed(number, attempt), FAILED
            case (worker, None, _, _):
                self._busy.discard(worker)
                self._idle.add(worker)
            case (worker, block, done, WorkerLost() as lost):
                self._busy.discard(worker)
                number = left.give_back(block, done, lost.begun)
                outcome, error = lost.outcome, lost.error
            case Exception():
                raise event
        return None if number is None else given_up(number, outcome, error)

    def _serve(self, number: int) -> None:
        """Keep a worker at work until the end; what a thread runs."""
        try:
            while not self._is_ending.is_set():
                worker = self._workers[number] = self._start()
                try:
                    if self._is_ending.is_set():  # `close` may not have seen it.
                        return
                    self._tell(worker.ready())
                    self._hand_blocks(number, worker)
                except WorkerLost as lost:
                    self._failed_starts[number] += 1
                    if self._failed_starts[number] == _STARTS:
                        text = f"workers cannot be started: {lost.error}"
                        raise _NeverReady(text) from None
                finally:
                    worker.kill()
        except Exception as error:  # noqa: BLE001 - The campaign's thread raises it.
            self._events.put(error)

    def _hand_blocks(self, number: int, worker: Worker) -> None:
        """Hand blocks to a worker until it is lost or the pool is closed.

        Raises:
          WorkerLost: it was lost before it began the first experiment of a block.
        """
        while True:
            self._events.put((number, None, 0, None))
            block, done = self._blocks[number].get(), 0
            if block is None:
                return
            try:
                for answer in worker.run(block):
                    self._failed_starts[number] = 0
                    self._tell(answer)
                    done += 1
            except WorkerLost as lost:
                self._events.put((number, block, done, lost))
                if not lost.begun:
                    raise
                return

    def _tell(self, answer: Answer | None) -> None:
        if isinstance(answer, Exception):
            raise answer
        if answer is not None:
            self._events.put(answer)
