# SPDX-License-Identifier: Apache-2.0
"""What workers report of experiments."""

import dataclasses
from typing import Protocol

from tpufi.campaign.engine.block_queue import Block
from tpufi.campaign.journal.row import Row
from tpufi.errors import InputError
from tpufi.messages import one_line


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


def attempted(runner: Runner, number: int, attempt: int) -> Finished | Failed:
    """Run an experiment; what goes wrong with it is reported, not raised.

    Raises:
      InputError: the set-up is wrong, for all experiments.
    """
    try:
        return Finished(runner.run(number, attempt))
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - it goes into the journal.
        return Failed(number, attempt, f"{type(error).__name__}: {one_line(error)}")
