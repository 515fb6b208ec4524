# SPDX-License-Identifier: Apache-2.0
"""Random faults of all models change what they say at all kinds of sites, bitwise."""

from collections.abc import Iterable

import numpy as np
import pytest
import tensorflow as tf

from tests.drawn_examples import drawn_examples
from tests.fault_rules_test import reference
from tests.modes import assert_same_bits
from tests.tiny_workload import TINY
from tpufi.descriptor import CAPACITY, Descriptor, Injected, disarmed, read_record
from tpufi.element import to_words
from tpufi.fault import Fault
from tpufi.faults.catalogue import NAMES, any_fault_model
from tpufi.faults.plan import SamplingPlan, SiteSpace, equally
from tpufi.faults.sampler import Sampler
from tpufi.models import WORKLOADS
from tpufi.show.tapped_sites import TappedContext
from tpufi.site_table import DIRECTIONS
from tpufi.stale import holding, recording
from tpufi.training import State, initial_state
from tpufi.training.determinism import exact_arithmetic
from tpufi.training.step import TrainingStep
from tpufi.training.step_values import StepInputs
from tpufi.workload import Workload


class TappedStep:
    """One replica's step and update; traced once for all faults.

    Args:
      workload: what is trained.
      per_replica: examples of the batch.
      tapped: names of the sites whose tensors are returned.
    """

    def __init__(self, workload: Workload, per_replica: int, tapped: Iterable[str]):
        self.workload = workload
        self.table = workload.sites(per_replica)
        self.traces = 0
        self._per_replica = per_replica
        self._tapped = frozenset(tapped)
        self._run = tf.function(self._traced, autograph=False)

    def __call__(
        self,
        state: State,
        examples: np.ndarray,
        labels: np.ndarray,
        fault: Descriptor | None = None,
    ) -> tuple[dict[str, tf.Tensor], Injected]:
        """Return the tensors by site name, in the sites' layouts, and the record."""
        fault = fault or disarmed()
        with exact_arithmetic():
            tensors, record = self._run(
                state,
                tf.constant(examples),
                tf.constant(labels),
                tf.constant(fault.faults),
                tf.constant(fault.words),
            )
        (injected,) = read_record(record.numpy())
        return tensors, injected

    def _traced(
        self,
        state: State,
        examples: tf.Tensor,
        labels: tf.Tensor,
        faults: tf.Tensor,
        words: tf.Tensor,
    ) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        self.traces += 1
        context = TappedContext(
            self.table, tf.constant(0, tf.int64), faults, words, seen=self._tapped
        )
        rate = tf.constant(self.workload.learning_rate)
        seed = tf.constant([1, 2], tf.uint32)
        step = TrainingStep(self.workload, 1, self._per_replica)
        total = step.passes(state, StepInputs(examples, labels, seed, rate), context)
        _, record = step.update(state, total, rate, context)
        assert set(context.tensors) == self._tapped
        return context.tensors, total.record + record


INJECTIONS, PER_REPLICA, SEED = 200, 2, 2023


def drawn_faults(workload: Workload) -> list[Fault]:
    """Return faults of all models, as many in each direction."""
    space = SiteSpace.of(workload, PER_REPLICA)
    faults = []
    for direction in DIRECTIONS:
        models = [any_fault_model(name) for name in NAMES]
        sites = [site for site in space.table if site.direction == direction]
        fitting = [
            model
            for model in models
            if any(
                model.misfit(site, space.operation_of(site)) is None for site in sites
            )
        ]
        plan = SamplingPlan(
            equally(fitting),
            site_weights="sites",
            directions=(direction,),
            replicas=(0,),
            steps=(1, 4),
        )
        sampler = Sampler(space, plan)
        each = INJECTIONS // len(DIRECTIONS)
        faults += [sampler.draw(SEED, number) for number in range(each)]
    return faults


def check_random_injections(workload: Workload) -> None:
    """Draw and inject faults; compare each faulty tensor with the golden one."""
    faults = drawn_faults(workload)
    step = TappedStep(workload, PER_REPLICA, {fault.site for fault in faults})
    state = initial_state(workload, 4)
    rng = np.random.default_rng(6)
    batches = []
    for _ in range(2):
        examples, labels = drawn_examples(workload, rng, (PER_REPLICA,))
        batches.append((examples.astype(workload.input_dtype), labels))
    golden, nothing = step(state, *batches[1])
    assert nothing.count == 0
    changed = 0
    for fault in faults:
        if fault.stale:
            before = recording(fault, 49).descriptor(step.table)
            _, injected = step(state, *batches[0], before)
            fault = holding(fault, injected.golden.tolist())
        descriptor = fault.descriptor(step.table)
        tensors, injected = step(state, *batches[1], descriptor)
        old, new = golden[fault.site].numpy(), tensors[fault.site].numpy()
        want, before = reference(old, descriptor, tuple(range(old.ndim)))
        assert_same_bits(new, want)
        where = descriptor.positions()
        others = np.ones(old.size, bool)
        others[where] = False
        assert_same_bits(new.ravel()[others], old.ravel()[others])
        assert injected.count == len(where) == fault.elements.count
        assert injected.golden.tolist() == before[:CAPACITY].tolist()
        changed += (to_words(new) != to_words(old)).any()
    assert len(faults) >= INJECTIONS
    assert {fault.model for fault in faults} >= {"INPUT_16", "N64_WT_16", "RD_GLB"}
    # A zero may be replaced by a zero, in gradients of dead units above all.
    assert changed > INJECTIONS / 2
    assert step.traces == 1
    print(
        f"{workload.name}: {len(faults)} injections at {len(golden)} sites, "
        f"{changed} changed bits, traces: {step.traces}"
    )


def test_200_random_injections_of_a_small_workload_change_what_they_record():
    check_random_injections(TINY)


@pytest.mark.slow
@pytest.mark.parametrize("name", WORKLOADS)
def test_200_random_injections_change_what_they_record(name):
    check_random_injections(WORKLOADS[name])
