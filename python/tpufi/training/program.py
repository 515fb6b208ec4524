# SPDX-License-Identifier: Apache-2.0
"""The compiled training step of a workload with virtual replicas.

Virtual replicas run one after the other on one device with the mathematics of a data-
parallel cluster: each has its own part of the batch and its own batch statistics, and
gradients are summed in the order of the replicas. One trace serves every fault.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tpufi.data.batches import Batch
from tpufi.descriptor import Descriptor, disarmed
from tpufi.errors import InputError
from tpufi.layers.hooks import Hooks, lean_hooks
from tpufi.layers.layer import Run
from tpufi.layers.lowering import BRANCH, LEAN, SELECT
from tpufi.layers.placement import NO_GROUP, Placed
from tpufi.training.determinism import exact_arithmetic
from tpufi.training.fault_check import check_fault
from tpufi.training.grouped import GROUPED, Cut, choose_group, placement
from tpufi.training.replica import (
    ReplicaResult,
    apply_update,
    examples_of,
    replica_gradients,
)
from tpufi.training.state import State
from tpufi.workload import Workload

LOWERINGS = (BRANCH, SELECT, LEAN, GROUPED)
# The update happens once, not per replica; a fault in it names replica 0 or all.
_UPDATE_REPLICA = 0


@dataclasses.dataclass(frozen=True, eq=False)
class StepResult:
    """What a step returns to the host.

    Args:
      state: the state after the step.
      loss: mean loss over the global batch.
      accuracy: share of correct classifications.
      record: float32 record of what was struck; see `tpufi.descriptor.read_record`.
    """

    state: State
    loss: float
    accuracy: float
    record: np.ndarray


class Program:
    """The training step and the evaluation of one workload.

    Args:
      workload: what is trained.
      replicas: data-parallel replicas, >= 1.
      per_replica: images of one replica, >= 1.
      with_sites: False leaves all fault ops out (for comparison).
      jit_compile: True compiles with XLA.
      lowering: `branch` takes every fault; `select` suits compiled programs and takes
        given bits for consecutive elements only (decision 0011); `lean` replaces
        consecutive elements by given bits, and its record has no golden bits (0014);
        `grouped` is `lean` with a branch for each group of sites (0015); None: `select`
        if `jit_compile`, else `branch`.
      groups: how many groups of sites lowering `grouped` has, >= 1, or the first site
        of each; None: enough for a struck step to cost about 2 % more on a TPU.

    Raises:
      InputError: unknown lowering, or groups that are none.
    """

    def __init__(
        self,
        workload: Workload,
        replicas: int = 8,
        per_replica: int = 128,
        *,
        with_sites: bool = True,
        jit_compile: bool = False,
        lowering: str | None = None,
        groups: Cut = None,
    ):
        self.workload = workload
        self.replicas = replicas
        self.per_replica = per_replica
        self.table = workload.sites(per_replica)
        self.traces = 0
        self.lowering = lowering or (SELECT if jit_compile else BRANCH)
        if self.lowering not in LOWERINGS:
            raise InputError(
                f"lowering {self.lowering!r} is unknown; known: {', '.join(LOWERINGS)}"
            )
        self._hooked = self.table if with_sites else None
        self._placement = None
        if self.lowering in (LEAN, GROUPED):
            self._placement = placement(self.table, self.lowering, groups)
        self.compiled = jit_compile
        options = {"jit_compile": jit_compile, "autograph": False}
        self._step = tf.function(self.traced_step, **options)
        self._evaluate = tf.function(self._traced_evaluation, **options)

    def step(
        self,
        state: State,
        batch: Batch,
        keys: np.ndarray,
        rate: float,
        fault: Descriptor | None = None,
    ) -> StepResult:
        """Run one training step.

        Args:
          state: the state before the step; it stays valid.
          batch: the images and labels of all replicas.
          keys: uint32 [replicas, 2], keys of this step for dropout.
          rate: learning rate.
          fault: what to inject; None for no fault.

        Raises:
          InputError: the program's lowering cannot do what the fault asks for.
        """
        fault = fault if fault is not None else disarmed()
        check_fault(fault, self.lowering, self.workload, self.table, self.per_replica)
        operands = self.operands(fault)
        with exact_arithmetic():
            state, loss, correct, record = self._step(
                state,
                tf.constant(batch.images),
                tf.constant(batch.labels),
                tf.constant(keys, tf.uint32),
                tf.constant(rate, tf.float32),
                *tf.nest.map_structure(tf.constant, operands),
            )
        accuracy = int(correct) / batch.labels.size
        return StepResult(state, float(loss), accuracy, record.numpy())

    def operands(self, fault: Descriptor) -> tuple:
        """Return a fault as the last arguments of `traced_step`."""
        if self._placement is None:
            return fault.faults, fault.words
        return (self._placement.place(fault),)

    def evaluate(self, state: State, batch: Batch) -> tuple[float, int]:
        """Return the summed loss and the number of correct classifications."""
        with exact_arithmetic():
            loss, correct = self._evaluate(
                state,
                tf.constant(batch.images),
                tf.constant(batch.labels),
                tf.constant(batch.present),
            )
        return float(loss), int(correct)

    def traced_step(
        self,
        state: State,
        images: tf.Tensor,
        labels: tf.Tensor,
        seeds: tf.Tensor,
        rate: tf.Tensor,
        *operands: tf.Tensor | Placed,
    ) -> tuple[State, tf.Tensor, tf.Tensor, tf.Tensor]:
        """Build the step; a function of tensors only, for compiling elsewhere.

        The operands are `faults` and `words`, or a placed fault.
        """
        self.traces += 1
        given = state, images, labels, seeds, rate
        if self._placement is None:
            return self._build(
                *given,
                lambda replica: Hooks(self._hooked, replica, *operands, self.lowering),
            )
        (placed,) = operands

        def branch(group: int) -> tuple:
            return self._build(
                *given,
                lambda replica: lean_hooks(self._placement, group, placed, replica),
            )

        if self._hooked is None:
            return branch(NO_GROUP)
        if self.lowering == LEAN:
            return branch(1)
        return choose_group(len(self._placement.groups), placed, branch)

    def _build(
        self,
        state: State,
        images: tf.Tensor,
        labels: tf.Tensor,
        seeds: tf.Tensor,
        rate: tf.Tensor,
        hooks_of: Callable[[tf.Tensor], Hooks],
    ) -> tuple[State, tf.Tensor, tf.Tensor, tf.Tensor]:
        """Build the step with the sites of `hooks_of`, called with a replica."""
        global_batch = self.replicas * self.per_replica

        def one(replica: tf.Tensor) -> ReplicaResult:
            return replica_gradients(
                self.workload,
                state,
                images[replica],
                labels[replica],
                seeds[replica],
                hooks_of(replica),
                global_batch,
                self.compiled,
            )

        def body(replica: tf.Tensor, total: ReplicaResult) -> tuple:
            summed = tf.nest.map_structure(tf.add, total, one(replica))
            return replica + 1, summed

        hooks = hooks_of(tf.constant(_UPDATE_REPLICA, tf.int64))
        nothing = ReplicaResult(
            {name: tf.zeros_like(w) for name, w in state.parameters.items()},
            {name: tf.zeros_like(s) for name, s in state.statistics.items()},
            tf.zeros([], self.workload.dtype),
            tf.zeros([], tf.int64),
            tf.zeros(hooks.record_shape),
        )
        _, total = tf.while_loop(
            lambda replica, _: replica < self.replicas,
            body,
            (tf.zeros([], tf.int64), nothing),
            parallel_iterations=1,
            maximum_iterations=self.replicas,
        )
        new_state, record = apply_update(
            self.workload, state, total, self.replicas, rate, hooks
        )
        return new_state, total.loss, total.correct, total.record + record

    def _traced_evaluation(
        self, state: State, images: tf.Tensor, labels: tf.Tensor, present: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        run = Run(state.parameters, state.statistics)
        images = tf.reshape(images, (-1, *self.workload.input_shape))
        logits = self.workload.model(examples_of(self.workload, images), run)
        labels = tf.reshape(labels, (-1, *logits.shape[1:-1]))
        # An example with several labels has all of them or none.
        present = tf.reshape(present, (-1, *[1] * (labels.shape.rank - 1)))
        losses = self.workload.loss.infer(logits, labels)
        guesses = tf.argmax(logits, -1, output_type=labels.dtype)
        right = tf.logical_and(tf.equal(guesses, labels), present)
        return (
            tf.reduce_sum(tf.where(present, losses, tf.zeros_like(losses))),
            tf.reduce_sum(tf.cast(right, tf.int64)),
        )
