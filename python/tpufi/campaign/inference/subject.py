# SPDX-License-Identifier: Apache-2.0
"""What an inference campaign injects into, loaded: program, inputs, golden answers."""

import hashlib
import os
import pathlib
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from tpufi.campaign.inference.inference_file import named_parts
from tpufi.campaign.inference.inference_plan import InferencePlan
from tpufi.campaign.inference.layout import Layout
from tpufi.campaign.inference.user_file import python_object, read_inputs, users_code
from tpufi.errors import InputError
from tpufi.instrument import Instrumented, instrument
from tpufi.instrument.graph_site import GraphSite
from tpufi.instrument.inference.campaign import right
from tpufi.instrument.inference.draw import ItemFaults, injectable_sites
from tpufi.instrument.inference.faulty_batch import FaultyBatch, answers
from tpufi.instrument.inference.judge import Judge, named_judge, own_judge
from tpufi.instrument.inference.mitigation import activation_bounds
from tpufi.training import make_deterministic


class Subject:
    """The program of a plan with its inputs, the same in every process.

    A process of its own is prepared by `set_up`.

    Args:
      plan: the plan.
      alive: called while it works.

    Attributes:
      fi: the program with sites and mitigation.
      chosen: int64 [items], which of the file's inputs are used.
      given: how many inputs the file has.
      sites: those that faults can be injected into.
      judge: of the answers.

    Raises:
      InputError: a file of the plan is wrong, or what it holds does not fit.
    """

    def __init__(self, plan: InferencePlan, alive: Callable[[], None] = lambda: None):
        self._plan = plan
        self._x, labels = read_inputs(plan.inputs)
        self.given = len(self._x)
        program = _program(plan.program)
        sites = plan.sites or None
        self.fi = instrument(program, sites=sites)
        self.chosen = self._choose(labels, alive)
        if plan.mitigation:
            self.fi = instrument(program, sites=sites, **self._guards(alive))
        first = self.inputs(0)
        self.sites: list[GraphSite] = injectable_sites(self.fi, first)
        self.judge = self._judge(answers(self.fi, first)[0])
        alive()

    @property
    def batches(self) -> int:
        """Number of batches."""
        return len(self.chosen) // self._plan.batch

    @property
    def layout(self) -> Layout:
        """How experiments are numbered."""
        return layout(self._plan, self.sites, len(self.chosen))

    def inputs(self, batch: int) -> tf.Tensor:
        """Return a batch."""
        first = batch * self._plan.batch
        return tf.constant(self._x[self.chosen[first : first + self._plan.batch]])

    def batch(self, number: int) -> FaultyBatch:
        """Return a batch that faults are injected into."""
        return FaultyBatch(self.fi, self.inputs(number))

    def golden_answers(self, batch: int) -> np.ndarray:
        """Return the golden answers to a batch."""
        return answers(self.fi, self.inputs(batch))

    def golden_digest(self, alive: Callable[[], None] = lambda: None) -> str:
        """Return SHA-256 of the golden answers to all inputs that are used."""
        whole = hashlib.sha256(self.chosen.tobytes())
        for number in range(self.batches):
            whole.update(self.golden_answers(number).tobytes())
            alive()
        return whole.hexdigest()

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
        file, name = named_parts(self._plan.measures)
        if not name:
            return named_judge(self._plan.measures, self._plan.tolerance)
        measures = python_object(file, name)
        if not isinstance(measures, Mapping):
            raise InputError(
                f"{self._plan.measures}: {type(measures).__name__}; expected a mapping "
                "of names to functions of (golden answer, faulty answer)"
            )
        return own_judge(measures, golden)


def set_up(plan: InferencePlan) -> None:
    """Prepare a process of its own for a subject, before TensorFlow runs."""
    tf.config.threading.set_intra_op_parallelism_threads(plan.threads)
    make_deterministic()


def layout(plan: InferencePlan, sites: list[GraphSite], items: int) -> Layout:
    """Return how the experiments of a plan are numbered."""
    draw = ItemFaults(sites, plan.batch, plan.seed, plan.weights)
    return Layout(items, plan.batch, plan.rounds, draw.fault)


def _program(where: str) -> Instrumented | object:
    file, name = named_parts(where)
    if not name:
        return pathlib.Path(os.fspath(where))
    make = python_object(file, name)
    if not callable(make):
        raise InputError(f"{where}: {type(make).__name__}; expected a function")
    with users_code(where):
        return make()
