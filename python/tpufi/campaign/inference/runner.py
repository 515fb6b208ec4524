# SPDX-License-Identifier: Apache-2.0
"""Runs the experiments of an inference campaign."""

import dataclasses
import hashlib
import time

import numpy as np

from tpufi.campaign.engine.unplanned import NOT_ACTIVE
from tpufi.campaign.inference.loaded import LoadedInference
from tpufi.campaign.journal.row import Row
from tpufi.campaign.subject import Runner, Subject
from tpufi.instrument.inference.faulty_batch import Answer, FaultyBatch


class InferenceRunner(Runner):
    """Runs the experiments of a batch together and keeps the rows of the last run.

    Experiment e injects into input e % items; those of a batch that follow each other
    are run together.

    Args:
      subject: with the plan.
      loaded: program and inputs.
    """

    def __init__(self, subject: Subject, loaded: LoadedInference):
        self._subject, self._loaded = subject, loaded
        self._items, self._size = len(loaded.chosen), subject.plan.batch
        self._number, self._batch = -1, None
        self._rows: dict[int, Row] = {}

    def run(self, number: int, attempt: int = 1) -> Row:
        if number not in self._rows:
            place = number % self._items
            batch = self._go_to(place // self._size)
            first = number - place % self._size
            self._rows = self._run(batch, range(first, first + self._size))
        return dataclasses.replace(self._rows[number], attempt=attempt)

    def _go_to(self, number: int) -> FaultyBatch:
        if self._number != number:
            self._batch, self._number = self._loaded.batch(number), number
        return self._batch

    def _run(self, batch: FaultyBatch, numbers: range) -> dict[int, Row]:
        begun = time.perf_counter()
        faults = [self._subject.fault(number) for number in numbers]
        faulty = batch.inject(faults)
        seconds = (time.perf_counter() - begun) / len(numbers)
        golden = [batch.golden(fault)[item] for item, fault in enumerate(faults)]
        return {
            number: self._row(number, *answers, seconds)
            for number, *answers in zip(numbers, golden, faulty, strict=True)
        }

    def _row(
        self,
        number: int,
        golden: np.ndarray,
        found: Answer | None,
        seconds: float,
    ) -> Row:
        columns = self._subject.columns(number)
        if found is None:
            text = f"{columns.site}: did not run exactly once; leave it out of sites="
            return Row(number, columns, NOT_ACTIVE, 0, wall_s=seconds, error=text)
        judge, answer = self._loaded.judge, found.value
        values = judge.values(golden, answer)
        return Row(
            experiment=number,
            fault=columns,
            outcome=judge.outcome(golden, answer, values),
            steps_run=1,
            diverged_step=None if golden.tobytes() == answer.tobytes() else 0,
            nonfinite_step=None if np.isfinite(answer.astype(np.float64)).all() else 0,
            state_digest=hashlib.sha256(answer.tobytes()).hexdigest()[:16],
            wall_s=seconds,
            injected_steps=None if found.passed is None else int(found.passed > 0),
            values=tuple(float(value) for value in values.values()),
        )
