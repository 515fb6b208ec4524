# SPDX-License-Identifier: Apache-2.0
"""A worker: makes its runner, then does blocks of experiments in their order."""

import abc
import dataclasses
from collections.abc import Callable, Iterator

from tpufi.campaign.engine.block_queue import Block
from tpufi.campaign.journal.row import Row
from tpufi.campaign.subject import Runner
from tpufi.errors import InputError
from tpufi.messages import one_line
from tpufi.training import make_deterministic

# The argument is to be called while the runner works, as a sign of life.
RunnerFactory = Callable[[Callable[[], None]], Runner]


@dataclasses.dataclass(frozen=True)
class Failed:
    """An experiment raised an error; the worker goes on."""

    number: int
    attempt: int
    error: str


# An InputError: the set-up is wrong, for all experiments.
Answer = Row | Failed | InputError


class RunnerHost:
    """Makes a runner and runs experiments with it, in the process of a worker."""

    def make(
        self, make: RunnerFactory, alive: Callable[[], None] = lambda: None
    ) -> InputError | None:
        """Make the runner; return why it cannot be made."""
        make_deterministic()
        try:
            self._runner = make(alive)
        except InputError as error:
            return error
        return None

    def run(self, number: int, attempt: int) -> Answer:
        """Run an experiment; what goes wrong with it is reported, not raised."""
        try:
            return self._runner.run(number, attempt)
        except InputError as error:
            return error
        except Exception as error:  # noqa: BLE001 - it goes into the journal.
            return Failed(number, attempt, f"{type(error).__name__}: {one_line(error)}")


class WorkerLost(Exception):
    """A worker crashed or hangs.

    Args:
      outcome: `unplanned.CRASHED` or `unplanned.HUNG`.
      error: how it ended.
      begun: whether it had begun the experiment; else it says nothing about that.
    """

    def __init__(self, outcome: str, error: str, begun: bool = True):
        super().__init__(outcome, error)
        self.outcome, self.error, self.begun = outcome, error, begun


class Worker(abc.ABC):
    """The campaign's end of a worker; one thread calls all methods but `kill`."""

    @abc.abstractmethod
    def ready(self) -> InputError | None:
        """Wait until the runner has been made; return why it cannot be.

        Raises:
          WorkerLost: the worker crashed or hangs.
        """

    @abc.abstractmethod
    def run(self, block: Block) -> Iterator[Answer]:
        """Yield what becomes of each experiment of a block, in their order.

        Raises:
          WorkerLost: the worker crashed or hangs, with the next experiment.
        """

    @abc.abstractmethod
    def kill(self) -> None:
        """End the worker at once; any thread may call this, more than once."""
