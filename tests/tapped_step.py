# SPDX-License-Identifier: Apache-2.0
"""A training step that also returns the tensors of chosen sites after the faults."""

from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from tpufi.descriptor import Descriptor, Injected, disarmed, read_record
from tpufi.show.tapped_sites import TappedContext
from tpufi.training import State
from tpufi.training.determinism import exact_arithmetic
from tpufi.training.step import StepInputs, TrainingStep
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
