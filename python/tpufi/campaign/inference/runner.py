# SPDX-License-Identifier: Apache-2.0
"""What a worker runs the experiments of an inference campaign with."""

import dataclasses
import hashlib
import time
from collections.abc import Callable

import numpy as np

from tpufi.campaign.inference.inference_plan import InferencePlan
from tpufi.campaign.inference.subject import Subject, set_up
from tpufi.campaign.journal.row import FaultColumns, Row
from tpufi.errors import InputError
from tpufi.instrument.graph_site import GraphSite
from tpufi.instrument.inference.faulty_batch import FaultyBatch
from tpufi.instrument.site_fault import SiteFault

MODEL = "FLIP"  # Of the fault catalogue: one bit of one element.


@dataclasses.dataclass(frozen=True)
class InferenceRunnerOf:
    """Makes the runner of a plan; picklable, for the process of a worker.

    Args:
      plan: the plan.
      golden: digest of the golden answers that there have to be.
    """

    plan: InferencePlan
    golden: str

    def __call__(self, alive: Callable[[], None] = lambda: None) -> "InferenceRunner":
        """Return the runner.

        Raises:
          InputError: the golden answers are others here.
        """
        set_up(self.plan)
        return runner(self.plan, self.golden, alive)


def runner(
    plan: InferencePlan, golden: str, alive: Callable[[], None] = lambda: None
) -> "InferenceRunner":
    """Return the runner of a plan, once the golden answers are those there have to be.

    Raises:
      InputError: they are others here.
    """
    subject = Subject(plan, alive)
    if subject.golden_digest(alive) != golden:
        raise InputError(
            "the golden answers of two processes differ: the program is not "
            "deterministic, or a file of the plan was changed; see to it"
        )
    return InferenceRunner(subject)


class InferenceRunner:
    """Runs the experiments of a batch together and keeps the rows of the last run.

    Args:
      subject: program and inputs.
    """

    def __init__(self, subject: Subject):
        self._subject, self._layout = subject, subject.layout
        self._sites = {site.id: site for site in subject.sites}
        self._number, self._batch = -1, None
        self._rows: dict[int, Row] = {}

    def run(self, number: int, attempt: int) -> Row:
        """Return the row of an experiment, which is run with those of its batch."""
        if number not in self._rows:
            batch = self._go_to(self._layout.batch_of(number))
            self._rows = self._run(batch, self._layout.together(number))
        return dataclasses.replace(self._rows[number], attempt=attempt)

    def _go_to(self, number: int) -> FaultyBatch:
        if self._number != number:
            self._batch, self._number = self._subject.batch(number), number
        return self._batch

    def _run(self, batch: FaultyBatch, numbers: range) -> dict[int, Row]:
        begun = time.perf_counter()
        faults = [self._layout.fault(number) for number in numbers]
        faulty = batch.inject(faults)
        seconds = (time.perf_counter() - begun) / len(numbers)
        return {
            number: self._row(number, fault, golden, answer, seconds)
            for number, fault, golden, answer in zip(
                numbers, faults, batch.golden, faulty, strict=True
            )
        }

    def _row(
        self, number: int, fault: SiteFault, golden: np.ndarray, answer, seconds: float
    ) -> Row:
        judge = self._subject.judge
        values = judge.values(golden, answer)
        item = int(self._subject.chosen[number % self._layout.items])
        return Row(
            experiment=number,
            fault=fault_columns(self._sites[fault.site], fault, item),
            outcome=judge.outcome(golden, answer, values),
            steps_run=1,
            diverged_step=None if golden.tobytes() == answer.tobytes() else 0,
            nonfinite_step=None if np.isfinite(answer.astype(np.float64)).all() else 0,
            state_digest=hashlib.sha256(answer.tobytes()).hexdigest()[:16],
            wall_s=seconds,
            values=tuple(float(value) for value in values.values()),
        )


def fault_columns(site: GraphSite, fault: SiteFault, item: int) -> FaultColumns:
    """Return the columns of a fault; `step` is the number of the input in its file."""
    element, bit = fault.elements[0], fault.words[0].bit_length() - 1
    line = f"{site.name} {element} {bit} {item}"
    return FaultColumns(
        model=MODEL,
        layer=site.name,
        direction=site.direction,
        operand=site.op,
        epoch=0,
        step=item,
        duration=1,
        replica=0,
        start=element,
        count=1,
        operation="flip",
        bit=bit,
        fault_digest=hashlib.sha256(line.encode()).hexdigest()[:16],
    )
