# SPDX-License-Identifier: Apache-2.0
"""Runs inferences with single bit flips and measures what the answers became.

Each item of a batch gets a fault of its own, so a batch of n is n independent trials of
one run. A draw is a pure function of (seed, run, item).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tpufi.errors import InputError
from tpufi.instrument.inference.draw import BatchFaults
from tpufi.instrument.inference.faulty_batch import FaultyBatch
from tpufi.instrument.inference.judge import measured
from tpufi.instrument.inference.measures import CLASSIFICATION, Measure, top
from tpufi.instrument.inference.results import InferenceResult, Trial
from tpufi.instrument.instrumented import Instrumented
from tpufi.instrument.site_fault import SiteFault

Batch = tuple[Any, Any]  # Inputs, and labels or None: tensors or arrays.


class InferenceCampaign:
    """Single bit flips in the armed sites of a program.

    Args:
      fi: the program: one batch in, one tensor [items, ...] out. Faults can be injected
        if its first axis is the batch and it is in no loop.
      measures: compare an item's answers, by name.
      seed: of all draws.
      weight: `sites` draws a site uniformly, `elements` an element of all sites.

    Raises:
      InputError: an unknown weight.
    """

    def __init__(
        self,
        fi: Instrumented,
        measures: Mapping[str, Measure] = CLASSIFICATION,
        seed: int = 0,
        weight: str = "elements",
    ):
        self._fi, self._measures = fi, dict(measures)
        self._draw = BatchFaults(fi, seed, weight)

    def run(
        self, batches: Sequence[Batch], runs: int, only_correct: bool = False
    ) -> InferenceResult:
        """Run `runs` batches, the given ones in turn, and measure every item.

        Args:
          batches: inputs [items, ...] and their labels, or None for no labels.
          runs: >= 1.
          only_correct: try only items whose top-1 class is the label without a fault.

        Raises:
          InputError: no batch, no site for one, or labels are needed and not there.
        """
        if runs < 1 or not batches:
            raise InputError(f"{runs} runs of {len(batches)} batches; give 1 or more")
        trials: list[Trial] = []
        left_out = 0
        for number, (inputs, labels) in enumerate(batches):
            here = range(number, runs, len(batches))
            batch = FaultyBatch(self._fi, inputs)
            kept = _kept(batch.golden, labels, only_correct)
            left_out += (len(batch.golden) - len(kept)) * len(here)
            trials += self._trials(batch, here, kept)
        trials.sort(key=lambda trial: (trial.run, trial.item))
        return InferenceResult(tuple(trials), left_out)

    def faults(self, run: int, inputs: tf.Tensor) -> list[SiteFault]:
        """Return the faults of a run, one for each item of its batch."""
        return self._draw.faults(run, inputs)

    def _trials(
        self, batch: FaultyBatch, runs: Sequence[int], kept: set[int]
    ) -> Iterator[Trial]:
        sites = self._fi.armed(batch.inputs).by_id
        for run in runs:
            faults = self.faults(run, batch.inputs)
            faulty = batch.inject(faults)
            for item in sorted(kept):
                site = sites[faults[item].site]
                golden, answer = batch.golden[item], faulty[item]
                yield Trial(
                    run,
                    item,
                    site.name,
                    site.op,
                    faults[item].elements[0],
                    faults[item].words[0].bit_length() - 1,
                    golden.tobytes() == answer.tobytes(),
                    measured(self._measures, golden, answer),
                )


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
