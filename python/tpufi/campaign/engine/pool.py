# SPDX-License-Identifier: Apache-2.0
"""What a pool of workers is, and what all pools keep of their workers."""

import abc
import dataclasses
from collections.abc import Sequence

from tpufi.campaign.engine.block_queue import Block
from tpufi.campaign.engine.events import Event, Lost


@dataclasses.dataclass(kw_only=True)
class PoolWorker:
    """What is known of a worker.

    Args:
      ready: whether its runner has been made.
      block: what it does; None: nothing.
    """

    ready: bool = False
    block: Block | None = None


class Pool(abc.ABC):
    """Workers that run blocks; one that is lost is replaced.

    Args:
      size: number of workers, >= 1.
      starts: a worker that is lost before it is ready, so often in a row, will never
        be.

    Attributes:
      size: number of workers.
      idle: numbers of the workers that wait for a block.
    """

    def __init__(self, size: int, starts: int):
        self.size = size
        self.idle: set[int] = set()
        self._starts = starts
        self._failed_starts = 0
        self._workers = [self._start() for _ in range(size)]

    @property
    def busy(self) -> int:
        """Number of workers that have a block."""
        return sum(worker.block is not None for worker in self._workers)

    @abc.abstractmethod
    def hand(self, worker: int, block: Block) -> None:
        """Give a block to an idle worker."""

    @abc.abstractmethod
    def events(self, seconds: float) -> Sequence[Event]:
        """Wait for reports, at most so long; workers that end a block become idle.

        Raises:
          InputError: a worker refuses its task: the set-up is wrong.
          RuntimeError: workers cannot be started.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """End all workers at once: the journal has what they have reported."""

    @abc.abstractmethod
    def _start(self) -> PoolWorker:
        """Return a new worker."""

    @abc.abstractmethod
    def _end(self, worker: PoolWorker) -> None:
        """End a worker at once."""

    def _is_ready(self, number: int) -> None:
        self._workers[number].ready, self._failed_starts = True, 0
        self.idle.add(number)

    def _is_done(self, number: int) -> None:
        self._workers[number].block = None
        self.idle.add(number)

    def _replace(
        self,
        number: int,
        outcome: str,
        error: str,
        done: frozenset[int] = frozenset(),
        suspect: int | None = None,
    ) -> Lost:
        """Start another worker for one that is lost; see `Lost` for the rest."""
        one = self._workers[number]
        self._end(one)
        self.idle.discard(number)
        if not one.ready:
            self._failed_starts += 1
            if self._failed_starts >= self._starts:
                raise RuntimeError(f"workers cannot be started: {error}")
        self._workers[number] = self._start()
        return Lost(one.block, done, suspect, outcome, error)
