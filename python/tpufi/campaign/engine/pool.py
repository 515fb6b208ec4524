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

_STARTS = 3  # A worker that is lost before it is ready, so often in a row, never is.
_SECONDS_TO_WAIT = 0.5
_SECONDS_TO_END = 10.0

GivenUp = Callable[[int, str, str], Row]


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
            rows = (self._row_of(event, left, given_up) for event in self._waited())
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
            case (worker, block, done, WorkerLost(outcome=outcome, error=error)):
                self._busy.discard(worker)
                number = left.give_back(block, done)
            case Exception():
                raise event
        return None if number is None else given_up(number, outcome, error)

    def _serve(self, number: int) -> None:
        """Keep a worker at work until the end; what a thread runs."""
        failed_starts = 0
        try:
            while not self._is_ending.is_set():
                worker = self._workers[number] = self._start()
                try:
                    if self._is_ending.is_set():  # `close` may not have seen it.
                        return
                    self._tell(worker.ready())
                    failed_starts = 0
                    self._hand_blocks(number, worker)
                except WorkerLost as lost:
                    failed_starts += 1
                    if failed_starts == _STARTS:
                        text = f"workers cannot be started: {lost.error}"
                        raise RuntimeError(text) from None
                finally:
                    worker.kill()
        except Exception as error:  # noqa: BLE001 - The campaign's thread raises it.
            self._events.put(error)

    def _hand_blocks(self, number: int, worker: Worker) -> None:
        """Hand blocks to a worker until it is lost or the pool is closed."""
        while True:
            self._events.put((number, None, 0, None))
            block, done = self._blocks[number].get(), 0
            if block is None:
                return
            try:
                for answer in worker.run(block):
                    self._tell(answer)
                    done += 1
            except WorkerLost as lost:
                self._events.put((number, block, done, lost))
                return

    def _tell(self, answer: Answer | None) -> None:
        if isinstance(answer, Exception):
            raise answer
        if answer is not None:
            self._events.put(answer)
