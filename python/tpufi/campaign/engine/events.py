# SPDX-License-Identifier: Apache-2.0
"""What a pool of workers reports, and what a pool is."""

import abc
import dataclasses
from collections.abc import Sequence
from typing import Protocol

from tpufi.campaign.engine.block_queue import Block
from tpufi.campaign.journal.row import Row


class Runner(Protocol):
    """What a worker runs experiments with."""

    def run(self, number: int, attempt: int) -> Row:
        """Return the row of an experiment."""


@dataclasses.dataclass(frozen=True)
class Finished:
    """An experiment ended; here is its row."""

    row: Row


@dataclasses.dataclass(frozen=True)
class Failed:
    """An experiment raised an error; the worker goes on."""

    number: int
    attempt: int
    error: str


@dataclasses.dataclass(frozen=True)
class Lost:
    """A worker was lost.

    Args:
      block: what it had; None: nothing.
      done: experiments of the block whose rows have come.
      suspect: the experiment it was doing; None: unknown.
      outcome: `unplanned.CRASHED` or `unplanned.HUNG`.
      error: how it ended.
    """

    block: Block | None
    done: frozenset[int]
    suspect: int | None
    outcome: str
    error: str


Event = Finished | Failed | Lost


class Pool(abc.ABC):
    """Workers that run blocks.

    Attributes:
      size: number of workers.
      idle: numbers of the workers that wait for a block.
      busy: number of workers that have one.
    """

    size: int
    idle: set[int]
    busy: int

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
        """End all workers at once."""
