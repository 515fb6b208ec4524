# SPDX-License-Identifier: Apache-2.0
"""Runs inferences with single bit flips and measures what the answers became.

Each item of a batch gets a fault of its own, so a batch of n is n independent trials of
one run. A draw is a pure function of (seed, run, item).
"""

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from tpufi.errors import InputError
from tpufi.instrument.graph_site import GraphSite
from tpufi.instrument.inference.measures import CLASSIFICATION, Measure, top
from tpufi.instrument.inference.results import InferenceResult, Trial
from tpufi.instrument.instrumented import Instrumented
from tpufi.instrument.site_fault import SiteFault, bits_of, flip
from tpufi.sampling.draws import Draws

Batch = tuple[tf.Tensor, Sequence[int] | None]


class InferenceCampaign:
    """Single bit flips in the armed sites of a program.

    Args:
      fi: the program: one batch in, one tensor [items, ...] out. A site can be struck
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
        if weight not in ("sites", "elements"):
            raise InputError(f"weight {weight!r} is unknown; known: sites, elements")
        self._fi, self._measures = fi, dict(measures)
        self._seed, self._weight = seed, weight

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
        goldens = [self._golden(inputs) for inputs, _ in batches]
        kept = [
            self._kept(golden, labels, only_correct)
            for golden, (_, labels) in zip(goldens, batches, strict=True)
        ]
        trials: list[Trial] = []
        left_out = 0
        for run in range(runs):
            number = run % len(batches)
            inputs, _ = batches[number]
            faults = self.faults(run, inputs)
            outcome = self._fi.strike(faults, inputs)
            missed = [s.site.name for s in outcome.strikes if s.times != 1]
            if missed:
                raise InputError(
                    f"{missed[0]} did not run exactly once; leave it out of sites="
                )
            faulty = outcome.outputs.numpy()
            for item in range(len(faulty)):
                if item not in kept[number]:
                    left_out += 1
                    continue
                trials.append(
                    self._trial(run, item, faults[item], goldens[number], faulty)
                )
        return InferenceResult(tuple(trials), left_out)

    def faults(self, run: int, inputs: tf.Tensor) -> list[SiteFault]:
        """Return the faults of a run, one for each item of its batch."""
        items = int(inputs.shape[0])
        sites = self._sites(inputs)
        sums = np.cumsum([s.size // items for s in sites]).tolist()
        result = []
        draws = Draws(self._seed, run)
        for item in range(items):
            if self._weight == "elements":
                site = sites[draws.choose(sums, f"site {item}")]
            else:
                site = sites[draws.below(len(sites), f"site {item}")]
            each = site.size // items
            element = item * each + draws.below(each, f"element {item}")
            bit = draws.below(bits_of(site.dtype), f"bit {item}")
            result.append(flip(site.id, element, bit))
        return result

    def _sites(self, inputs: tf.Tensor) -> list[GraphSite]:
        items = int(inputs.shape[0])
        sites = [
            site
            for site in self._fi.armed(inputs).sites
            if site.size and site.shape and site.shape[0] == items and not site.loops
        ]
        if not sites:
            raise InputError(
                f"no armed site has the batch of {items} as its first axis; arm others"
            )
        return sites

    def _golden(self, inputs: tf.Tensor) -> np.ndarray:
        outputs = self._fi.strike((), inputs).outputs
        items = int(inputs.shape[0])
        if not tf.is_tensor(outputs) or outputs.shape.rank in (None, 0):
            raise InputError("an inference campaign needs a program of one output")
        if outputs.shape[0] != items:
            raise InputError(
                f"{items} items in, {outputs.shape[0]} out; the first axis of the "
                "output has to be the batch"
            )
        return outputs.numpy()

    def _kept(self, golden: np.ndarray, labels, only_correct: bool) -> set[int]:
        if not only_correct:
            return set(range(len(golden)))
        if labels is None or len(labels) != len(golden):
            raise InputError("only_correct needs a label for each item of each batch")
        rows = golden.astype(np.float64).reshape(len(golden), -1)
        return {i for i, row in enumerate(rows) if top(row, 1)[0] == int(labels[i])}

    def _trial(
        self, run: int, item: int, fault: SiteFault, golden: np.ndarray, faulty
    ) -> Trial:
        (site,) = (s for s in self._fi.sites if s.id == fault.site)
        before, after = (
            a[item].astype(np.float64).reshape(-1) for a in (golden, faulty)
        )
        return Trial(
            run,
            item,
            site.name,
            site.op,
            fault.elements[0],
            fault.words[0].bit_length() - 1,
            golden[item].tobytes() == faulty[item].tobytes(),
            {name: measure(before, after) for name, measure in self._measures.items()},
        )
