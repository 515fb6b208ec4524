# SPDX-License-Identifier: Apache-2.0
"""The training step under a TensorFlow distribution strategy: one device per replica.

Works with `MirroredStrategy` (also on logical CPU devices) and `TPUStrategy`. Every
replica keeps its own copy of the state, does what a virtual replica does, and sums
gradients and statistics with the others through the strategy's all-reduce, so that all
copies stay equal.
"""

import numpy as np
import tensorflow as tf

from tpufi.data.batches import Batch
from tpufi.descriptor import Descriptor, disarmed
from tpufi.layers.hooks import Hooks
from tpufi.training.determinism import exact_arithmetic
from tpufi.training.program import Program, StepResult
from tpufi.training.replica import ReplicaResult, apply_update, replica_gradients
from tpufi.training.state import State
from tpufi.workload import Workload


class DistributedProgram:
    """The training step of one workload on the devices of a strategy.

    Used like `tpufi.training.Program`. The state stays on the devices from step to step
    and is copied there only when a step starts from another state.

    Args:
      workload: what is trained.
      strategy: `tf.distribute.MirroredStrategy` or `TPUStrategy`.
      per_replica: images of one replica, >= 1.
    """

    def __init__(
        self, workload: Workload, strategy: tf.distribute.Strategy, per_replica: int
    ):
        self.workload = workload
        self.strategy = strategy
        self.replicas = strategy.num_replicas_in_sync
        self.per_replica = per_replica
        self.table = workload.sites(per_replica)
        self.traces = 0
        self.variables: State | None = None
        self._newest: State | None = None
        self._step = tf.function(self._traced_step, autograph=False)
        self._evaluation = Program(workload, self.replicas, per_replica)
        self.evaluate = self._evaluation.evaluate

    def step(
        self,
        state: State,
        batch: Batch,
        keys: np.ndarray,
        rate: float,
        fault: Descriptor | None = None,
    ) -> StepResult:
        """Run one training step; see `tpufi.training.Program.step`."""
        fault = fault if fault is not None else disarmed()
        if state is not self._newest:
            self._load(state)

        def split(values: np.ndarray, dtype: tf.DType | None = None) -> object:
            return self.strategy.experimental_distribute_values_from_function(
                lambda c: tf.constant(values[c.replica_id_in_sync_group], dtype)
            )

        with exact_arithmetic():
            loss, correct, record = self._step(
                split(batch.images),
                split(batch.labels),
                split(keys, tf.uint32),
                tf.constant(rate, tf.float32),
                tf.constant(fault.faults),
                tf.constant(fault.words),
            )
        self._newest = tf.nest.map_structure(
            lambda v: tf.identity(self.strategy.experimental_local_results(v)[0]),
            self.variables,
        )
        accuracy = int(correct) / batch.labels.size
        return StepResult(self._newest, float(loss), accuracy, record.numpy())

    def _load(self, state: State) -> None:
        """Copy a state to every replica's device."""
        if self.variables is None:
            with self.strategy.scope():
                self.variables = tf.nest.map_structure(_replica_variable, state)
        pairs = zip(
            tf.nest.flatten(self.variables), tf.nest.flatten(state), strict=True
        )
        for variable, value in pairs:
            variable.assign(value)

    def _traced_step(
        self,
        images: object,
        labels: object,
        seeds: object,
        rate: tf.Tensor,
        faults: tf.Tensor,
        words: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        self.traces += 1
        results = self.strategy.run(
            self._replica_step, args=(images, labels, seeds, rate, faults, words)
        )
        return tuple(self.strategy.experimental_local_results(r)[0] for r in results)

    def _replica_step(
        self,
        images: tf.Tensor,
        labels: tf.Tensor,
        seed: tf.Tensor,
        rate: tf.Tensor,
        faults: tf.Tensor,
        words: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        context = tf.distribute.get_replica_context()
        replica = tf.cast(context.replica_id_in_sync_group, tf.int64)
        state = tf.nest.map_structure(tf.identity, self.variables)
        own = replica_gradients(
            self.workload,
            state,
            images,
            labels,
            seed,
            Hooks(self.table, replica, faults, words),
            self.replicas * self.per_replica,
        )
        # One reduction packs its tensors together, so they have to be of one type; a
        # float32 counts labels exactly up to 2**24.
        own = own._replace(correct=tf.cast(own.correct, tf.float32))
        total = ReplicaResult(*context.all_reduce(tf.distribute.ReduceOp.SUM, own))
        total = total._replace(correct=tf.cast(total.correct, tf.int64))
        # The update is the same on every replica, faults in it included.
        hooks = Hooks(self.table, tf.zeros([], tf.int64), faults, words)
        new, record = apply_update(
            self.workload, state, total, self.replicas, rate, hooks
        )
        for variable, value in zip(
            tf.nest.flatten(self.variables), tf.nest.flatten(new), strict=True
        ):
            variable.assign(value)
        return total.loss, total.correct, total.record + record


def _replica_variable(value: tf.Tensor) -> tf.Variable:
    """Return a variable of which every replica has a copy of its own."""
    return tf.Variable(
        value,
        trainable=False,
        synchronization=tf.VariableSynchronization.ON_READ,
        aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
    )
