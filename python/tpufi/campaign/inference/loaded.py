# SPDX-License-Identifier: Apache-2.0
"""What an inference campaign injects into, loaded: program, inputs, golden answers."""

import hashlib
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from tpufi.campaign.inference.inference_plan import InferencePlan
from tpufi.campaign.program_inputs import read_inputs
from tpufi.campaign.program_source import program_source
from tpufi.campaign.subject import no_sign
from tpufi.errors import InputError
from tpufi.instrument import instrument
from tpufi.instrument.controls import controls_of
from tpufi.instrument.inference.campaign import right
from tpufi.instrument.inference.faulty_batch import FaultyBatch, answers
from tpufi.instrument.inference.judge import Judge, named_judge, own_judge
from tpufi.instrument.inference.mitigation import activation_bounds
from tpufi.instrument.program_space import ProgramSpace
from tpufi.user_file import made_by, named_parts, python_object


class LoadedInference:
    """The program of a plan with its inputs, the same in every process.

    Args:
      plan: the plan.
      alive: called while it works.

    Attributes:
      fi: the program with sites and mitigation.
      chosen: int64 [items], which of the file's inputs are used.
      given: how many inputs the file has.
      space: where faults can be injected.
      judge: of the answers.

    Raises:
      InputError: a file of the plan is wrong, or what it holds does not fit.
    """

    def __init__(self, plan: InferencePlan, alive: Callable[[], None] = no_sign):
        self._plan = plan
        self._x, labels = read_inputs(plan.inputs)
        self.given = len(self._x)
        program = made_by(plan.program)
        chosen = {"sites": plan.ops or None, "operands": plan.operands}
        self.fi = instrument(program, **chosen)
        self.chosen = self._choose(labels, alive)
        if plan.mitigation:
            self.fi = instrument(program, **chosen, **self._guards(alive))
        first = self.inputs(0)
        self.space = ProgramSpace.of_program(
            self.fi.armed(first), plan.sampling.units, plan.batch
        )
        source = program_source(self.space, plan.sampling, plan.injections)
        self._controls = controls_of(source)
        self.judge = self._judge(answers(self.fi, first)[0])
        alive()

    @property
    def batches(self) -> int:
        """Number of batches."""
        return len(self.chosen) // self._plan.batch

    def inputs(self, batch: int) -> tf.Tensor:
        """Return a batch."""
        first = batch * self._plan.batch
        return tf.constant(self._x[self.chosen[first : first + self._plan.batch]])

    def batch(self, number: int) -> FaultyBatch:
        """Return a batch that faults are injected into."""
        return FaultyBatch(self.fi, self.inputs(number), self.space, self._controls)

    def golden_answers(self, batch: int) -> np.ndarray:
        """Return the golden answers to a batch."""
        return answers(self.fi, self.inputs(batch))

    def golden_digest(self, alive: Callable[[], None] = no_sign) -> str:
        """Return SHA-256 of all golden answers to the inputs that are used."""
        whole = hashlib.sha256(self.chosen.tobytes())
        for control in self._controls.values():
            for number in range(self.batches):
                found = answers(self.fi, self.inputs(number), control)
                whole.update(found.tobytes())
                alive()
        return whole.hexdigest()

    def measures(self) -> tuple[tuple[str, bool], ...]:
        """Return name and whether it is a truth value of each measure."""
        one = self.golden_answers(0)[0]
        values = self.judge.values(one, one)
        return tuple((name, isinstance(value, bool)) for name, value in values.items())

    def _choose(self, labels: np.ndarray | None, alive) -> np.ndarray:
        size, found = self._plan.batch, np.arange(self.given)
        if self._plan.only_correct:
            if labels is None:
                raise InputError(
                    f"{self._plan.inputs}: only_correct needs labels in it"
                )
            kept: list[int] = []
            # The last batch is filled up with the first items: one shape, one trace.
            for first in range(0, self.given, size):
                items = np.arange(first, first + size) % self.given
                golden = answers(self.fi, tf.constant(self._x[items]))
                kept += [first + i for i in right(golden, labels[items])]
                alive()
            found = np.array([i for i in kept if i < self.given], np.int64)
        found = found[: len(found) // size * size]
        if not len(found):
            raise InputError(
                f"{self._plan.inputs}: {self.given} inputs, too few that can be used "
                f"for a batch of {size}; give more, or a smaller batch"
            )
        return found

    def _guards(self, alive) -> dict:
        guards: dict[str, object] = {}
        if "ranges" in self._plan.mitigation:
            batches = []
            for number in range(self.batches):
                batches.append(self.inputs(number))
                alive()
            guards["bounds"] = activation_bounds(self.fi, batches)
        if "nan_guard" in self._plan.mitigation:
            guards["nan_guard"] = True
        return guards

    def _judge(self, golden: np.ndarray) -> Judge:
        if not named_parts(self._plan.measures)[1]:
            return named_judge(self._plan.measures, self._plan.tolerance)
        measures = python_object(self._plan.measures)
        if not isinstance(measures, Mapping):
            raise InputError(
                f"{self._plan.measures}: {type(measures).__name__}; expected a mapping "
                "of names to functions of (golden answer, faulty answer)"
            )
        return own_judge(measures, golden)
