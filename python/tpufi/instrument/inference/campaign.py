# SPDX-License-Identifier: Apache-2.0
"""Runs inferences with faults and measures what the answers became.

Each item of a batch gets a separate fault, so a batch of n is n independent trials of
one run. A draw is a pure function of (seed, run, item).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tpufi.errors import InputError
from tpufi.fault import single_bit
from tpufi.faults.broken_unit import AnyFault, BrokenUnit, unit_text
from tpufi.faults.catalogue import any_fault_model
from tpufi.faults.fault_model import FaultModel
from tpufi.faults.plan import SITE_WEIGHTS, SamplingPlan, equally
from tpufi.faults.program_units import check_of_call
from tpufi.faults.sampler import Sampler
from tpufi.faults.unit_model import UnitModel
from tpufi.instrument.controls import controls_of
from tpufi.instrument.inference.faulty_batch import FaultyBatch, answers
from tpufi.instrument.inference.judge import measured
from tpufi.instrument.inference.measures import CLASSIFICATION, Measure, top
from tpufi.instrument.inference.results import InferenceResult, Trial
from tpufi.instrument.instrumented import Instrumented
from tpufi.instrument.program_space import ProgramSpace
from tpufi.messages import quote

Batch = tuple[Any, Any]  # Inputs, and labels or None: tensors or arrays.

_MOST_ITEMS = 1 << 20  # Of a batch; each has its own draws.


class InferenceCampaign:
    """Faults in the armed sites of a program.

    Args:
      fi: the program: one batch in, one tensor [items, ...] out. Faults can be injected
        if its first axis is the batch and it is in no loop.
      measures: compare an item's answers, by name.
      seed: of all draws.
      weight: `sites` draws a site uniformly, `elements` an element of all sites, `macs`
        a site by the multiply-accumulates of its operation.
      faults: fault models, or their names, and models of a processing element that is
        broken, each drawn equally often. Such an experiment is a run of the batch.

    Raises:
      InputError: an unknown weight or fault model, or one that needs a step before; or
        programs have no such unit or moment.
    """

    def __init__(
        self,
        fi: Instrumented,
        measures: Mapping[str, Measure] = CLASSIFICATION,
        seed: int = 0,
        weight: str = "elements",
        faults: Sequence[str | FaultModel | UnitModel] = ("FLIP",),
    ):
        if weight not in SITE_WEIGHTS:
            known = ", ".join(SITE_WEIGHTS)
            raise InputError(f"weight {weight!r} is unknown; known: {known}")
        self._fi, self._measures, self._seed = fi, dict(measures), seed
        models = [_model_of(m) if isinstance(m, str) else m for m in faults]
        self._plan = SamplingPlan(
            equally(models), weight, epochs=(0, 0), steps=(0, 0), replicas=(0,)
        )
        check_of_call(self._plan)

    def run(
        self, batches: Sequence[Batch], runs: int, only_correct: bool = False
    ) -> InferenceResult:
        """Run `runs` batches, the given ones in turn, and measure every item.

        Args:
          batches: inputs [items, ...] and their labels, or None for no labels.
          runs: >= 1.
          only_correct: try only items whose top-1 class is the label without a fault.

        Raises:
          InputError: no batch, one that is not a pair, no site for one, or labels are
            needed and not there.
        """
        for number, batch in enumerate(batches):
            if not isinstance(batch, (tuple, list)) or len(batch) != 2:
                raise InputError(
                    f"batch {number} is not (inputs, labels), but "
                    f"{type(batch).__name__}; write run([(inputs, labels)], runs=...), "
                    "with None for no labels"
                )
        if runs < 1 or not len(batches):
            raise InputError(f"{runs} runs of {len(batches)} batches; give 1 or more")
        trials: list[Trial] = []
        left_out = 0
        for number, (inputs, labels) in enumerate(batches):
            here = range(number, runs, len(batches))
            space = self._space(inputs)
            golden = answers(self._fi, inputs)
            kept = _kept(golden, labels, only_correct)
            left_out += (len(golden) - len(kept)) * len(here)
            trials += self._trials(inputs, space, here, kept)
        trials.sort(key=lambda trial: (trial.run, trial.item))
        return InferenceResult(tuple(trials), left_out)

    def faults(self, run: int, inputs: tf.Tensor) -> list[AnyFault]:
        """Return the faults of a run, one for each item of its batch."""
        space = self._space(inputs)
        drawn = self._drawn(Sampler(space, self._plan), run, int(inputs.shape[0]))
        return [space.of_item(fault, item) for item, fault in enumerate(drawn)]

    def _space(self, inputs: tf.Tensor) -> ProgramSpace:
        items = int(inputs.shape[0])
        armed = self._fi.armed(inputs)
        return ProgramSpace.of_program(armed, self._plan.units, items)

    def _drawn(self, sampler: Sampler, run: int, items: int) -> list[AnyFault]:
        first = run * _MOST_ITEMS
        return [sampler.draw(self._seed, first + item) for item in range(items)]

    def _trials(
        self, inputs: tf.Tensor, space: ProgramSpace, runs: range, kept: set[int]
    ) -> Iterator[Trial]:
        sampler = Sampler(space, self._plan)
        batch = FaultyBatch(self._fi, inputs, space, controls_of(sampler))
        for run in runs:
            faults = self._drawn(sampler, run, int(inputs.shape[0]))
            faulty = batch.inject(faults)
            for item in sorted(kept):
                fault, answer = faults[item], faulty[item]
                if answer is None:
                    raise InputError(
                        f"{fault.site} did not run exactly once; leave it out of sites="
                    )
                golden = batch.golden(fault)[item]
                yield Trial(
                    run,
                    item,
                    fault.model,
                    *_place(fault, item, space, sampler),
                    golden.tobytes() == answer.value.tobytes(),
                    measured(self._measures, golden, answer.value),
                )


def _model_of(name: str) -> FaultModel:
    if name.startswith("pe:"):
        raise InputError(
            f"faults: {quote(name)}: names of units are of campaign files; give a "
            "UnitModel(ProcessingElement(...))"
        )
    return any_fault_model(name)


def _place(
    fault: AnyFault, item: int, space: ProgramSpace, sampler: Sampler
) -> tuple[str, str, int, int | None]:
    """Return site, operation, element and bit of a fault, as a trial has them."""
    op = sampler.site(fault.site).op
    if isinstance(fault, BrokenUnit):
        return unit_text(fault.fault.unit), op, fault.start, fault.bit
    elements = space.of_item(fault, item).elements
    return fault.site, op, elements.start, single_bit(fault)


def _kept(golden: np.ndarray, labels, only_correct: bool) -> set[int]:
    if not only_correct:
        return set(range(len(golden)))
    if labels is None or len(labels) != len(golden):
        raise InputError("only_correct needs a label for each item of each batch")
    return set(right(golden, labels))


def right(golden: np.ndarray, labels: Sequence[int]) -> list[int]:
    """Return the items whose top-1 class is their label."""
    rows = golden.astype(np.float64).reshape(len(golden), -1)
    return [i for i, row in enumerate(rows) if top(row, 1)[0] == int(labels[i])]
