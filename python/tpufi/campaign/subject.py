# SPDX-License-Identifier: Apache-2.0
"""What a campaign injects into, as the engine sees it.

A workload, an inference program and a training step of the user are subjects; the
engine, the journal, status, report and replay know no other difference between them.
"""

import abc
import json
import platform
import sqlite3
import time
from collections.abc import Callable, Sequence

from tpufi.campaign.journal.manifest import Manifest
from tpufi.campaign.journal.row import FaultColumns, Row
from tpufi.campaign.plan import Plan
from tpufi.faults.broken_unit import AnyFault
from tpufi.faults.sampler import FaultSource


def no_sign() -> None:
    """Give no sign of life."""


class Runner(abc.ABC):
    """Runs the experiments of a subject, each a pure function of its number."""

    @abc.abstractmethod
    def run(self, number: int, attempt: int = 1) -> Row:
        """Run one experiment.

        Args:
          number: of the experiment.
          attempt: 1, or more if it was tried before.

        Raises:
          InputError: the golden run cannot be repeated here.
        """

    def reach(self, number: int) -> int:
        """Walk the golden run as far as an experiment needs it; return the steps."""
        del number
        return 0


class Subject(abc.ABC):
    """A program with its golden run, and the plan of what is injected into it.

    It can be sent to another process; what computes is opened where it runs.

    Attributes:
      plan: the plan.
      measures: name of each number that an experiment has besides its columns, and
        whether it is a truth value.
      golden_scores: of the golden run by the detectors of each measure, one for each
        step; empty: there are no detectors.
    """

    plan: Plan
    measures: Sequence[tuple[str, bool]] = ()
    golden_scores: Sequence[Sequence[float]] = ()

    @property
    @abc.abstractmethod
    def title(self) -> str:
        """What it is, in a line for a reader."""

    @property
    @abc.abstractmethod
    def origin(self) -> object:
        """Where it comes from: a folder or a file."""

    @property
    @abc.abstractmethod
    def source(self) -> FaultSource:
        """What the faults are drawn from."""

    @property
    @abc.abstractmethod
    def golden_steps(self) -> int:
        """How many steps of the golden run faults are injected into."""

    @abc.abstractmethod
    def open(self, alive: Callable[[], None] = no_sign) -> Runner:
        """Return what runs the experiments, once the golden run is repeated bitwise.

        TensorFlow has to be deterministic there (`tpufi.training.make_deterministic`).

        Args:
          alive: called while it works, as a sign of life.

        Raises:
          InputError: the golden run cannot be repeated here.
        """

    @abc.abstractmethod
    def manifest(self) -> Manifest:
        """Return what the rows depend on, as things are now.

        Raises:
          InputError: a file is missing or damaged.
        """

    @abc.abstractmethod
    def noted(self) -> dict[str, object]:
        """Return where its files are, for readers; journals run no code of theirs."""

    def fault(self, number: int) -> AnyFault:
        """Return the fault of an experiment."""
        return self.source.draw(self.plan.seed, number)

    def item(self, number: int) -> int | None:
        """Return the number of the input of an experiment; None: it has no own one."""
        del number

    def columns(self, number: int) -> FaultColumns:
        """Return what the journal tells of the fault of an experiment."""
        fault = self.fault(number)
        return FaultColumns.of(fault, self.source.site(fault.site), self.item(number))

    def order(self, number: int) -> tuple[int, ...]:
        """Return what to sort experiments of a window by: as the golden run goes."""
        fault = self.fault(number)
        return fault.epoch, fault.step, number

    def window(self, asked: int) -> int:
        """Return how many experiments are between two looks at the stop rules."""
        return asked

    def block(self, asked: int) -> int:
        """Return how many experiments a worker takes at once."""
        return asked

    def session(self, command: Sequence[str], tpufi_version: str) -> str:
        """Return what is noted of one running of the campaign, as JSON."""
        entries = {
            "begun": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "command": list(command),
            "tpufi": tpufi_version,
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
        }
        return json.dumps(entries | self.noted())
