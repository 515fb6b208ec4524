# SPDX-License-Identifier: Apache-2.0
"""The training step under a TensorFlow distribution strategy: one device per replica.

Works with `MirroredStrategy` (also on logical CPU devices) and `TPUStrategy`. Every
replica keeps its own copy of the state, does what a virtual replica does, and sums
gradients and statistics with the others, so that all copies stay equal.
"""

import functools
from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from tpufi.data.batches import Batch
from tpufi.descriptor import Descriptor
from tpufi.progress import compiling
from tpufi.training.chips import sum_over_chips
from tpufi.training.determinism import exact_arithmetic
from tpufi.training.devices import check_compiled
from tpufi.training.program import Program, StepResult, recorded
from tpufi.training.sent import with_sent
from tpufi.training.state import State, Tensors
from tpufi.training.step import Operands, TrainingStep, operands_of
from tpufi.training.step_values import ReplicaResult, StepInputs
from tpufi.units import UnitFault
from tpufi.workload import Workload


class DistributedProgram:
    """The training step of one workload on the devices of a strategy.

    Used like `tpufi.training.Program`. The state stays on the devices from step to step
    and is copied there only when a step starts from another state. On TPUs a device
    runs what `tpufi.tpu` exports and compiles offline.

    Args:
      workload: what is trained.
      strategy: `tf.distribute.MirroredStrategy` or `TPUStrategy`.
      per_replica: images of one replica, >= 1.
      compiled: whether XLA compiles the step; a TPU always does.
      sites: names of the sites that faults may name; None: all.
    """

    def __init__(
        self,
        workload: Workload,
        strategy: tf.distribute.Strategy,
        per_replica: int,
        *,
        compiled: bool = False,
        sites: Iterable[str] | None = None,
    ):
        self._on_tpu = isinstance(strategy, tf.distribute.TPUStrategy)
        on_gpu = any("GPU" in name for name in strategy.extended.worker_devices)
        device = "gpu" if on_gpu else "cpu"
        check_compiled(device, compiled)
        self.workload = workload
        self.strategy = strategy
        self.replicas = strategy.num_replicas_in_sync
        self.per_replica = per_replica
        self.compiled = compiled or self._on_tpu
        names = None if sites is None else frozenset(sites)
        self.training_step = TrainingStep(
            workload, self.replicas, per_replica, self.compiled, names
        )
        self.table = self.training_step.table
        self.traces = 0
        self.variables: State | None = None
        self._newest: State | None = None
        self._step = tf.function(self._traced_step, autograph=False)
        how = {"compiled": on_gpu, "device": device}
        self._evaluation = Program(workload, self.replicas, per_replica, **how)
        self.evaluate = self._evaluation.evaluate

    def step(
        self,
        state: State,
        batch: Batch,
        keys: np.ndarray,
        rate: float,
        fault: Descriptor | UnitFault | None = None,
        number: int | None = None,
    ) -> StepResult:
        """Run one training step; see `tpufi.training.Program.step`."""
        if state is not self._newest:
            self._load(state)

        def split(values: np.ndarray, dtype: tf.DType | None = None) -> object:
            return self.strategy.experimental_distribute_values_from_function(
                lambda c: tf.constant(values[c.replica_id_in_sync_group], dtype)
            )

        operands = operands_of(fault, number, self.training_step, state)
        before = with_sent(state, fault, number, self.replicas).sent
        with exact_arithmetic():
            loss, correct, record, sent = self._step(
                split(batch.images),
                split(batch.labels),
                split(keys, tf.uint32),
                tf.constant(rate, tf.float32),
                operands,
                tf.nest.map_structure(split, before),
            )
        local = self.strategy.experimental_local_results
        self._newest = tf.nest.map_structure(
            lambda v: tf.identity(local(v)[0]), self.variables
        )._replace(sent=sent)
        accuracy = int(correct) / batch.labels.size
        record = None if fault is None else recorded(fault, record)
        return StepResult(self._newest, float(loss), accuracy, record)

    def _load(self, state: State) -> None:
        """Copy a state to every replica's device, without what replicas sent."""
        state = state._replace(sent=())
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
        fault: Operands | None,
        before: object,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, Tensors | tuple[()]]:
        self.traces += 1
        compiling("the training step of all replicas")
        results = self.strategy.run(
            self._replica_step, args=(images, labels, seeds, rate, fault, before)
        )
        local = self.strategy.experimental_local_results
        *results, sent = results
        sent = tf.nest.map_structure(lambda x: tf.stack(local(x)), sent)
        return *(local(r)[0] for r in results), sent

    def _replica_step(
        self,
        images: tf.Tensor,
        labels: tf.Tensor,
        seed: tf.Tensor,
        rate: tf.Tensor,
        fault: Operands | None,
        before: Tensors | tuple[()],
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, Tensors | tuple[()]]:
        context = tf.distribute.get_replica_context()
        replica = tf.cast(context.replica_id_in_sync_group, tf.int64)
        state = tf.nest.map_structure(tf.identity, self.variables)
        state = state._replace(sent=before)
        inputs = StepInputs(images, labels, seed, rate)
        how = {}
        if self.compiled and not self._on_tpu:
            # Each side of the sum by itself: a compiled function cannot hold it.
            how["part"] = functools.partial(
                tf.function, jit_compile=True, autograph=False
            )
        step = self.training_step.on_device
        found = step(state, inputs, replica, fault, self._summed, **how)
        stored = found.state._replace(sent=())
        for variable, value in zip(
            tf.nest.flatten(self.variables), tf.nest.flatten(stored), strict=True
        ):
            variable.assign(value)
        record = tf.zeros([]) if fault is None else found.record
        return found.loss, found.correct, record, found.state.sent

    def _summed(self, own: ReplicaResult) -> ReplicaResult:
        if self._on_tpu:
            return sum_over_chips(own, self.replicas)
        # One reduction packs its tensors together, so they have to be of one type; a
        # float32 counts labels exactly up to 2**24.
        own = own._replace(correct=tf.cast(own.correct, tf.float32))
        context = tf.distribute.get_replica_context()
        flat = context.all_reduce(tf.distribute.ReduceOp.SUM, tf.nest.flatten(own))
        summed = tf.nest.pack_sequence_as(own, flat)
        return summed._replace(correct=tf.cast(summed.correct, tf.int64))


def _replica_variable(value: tf.Tensor) -> tf.Variable:
    """Return a variable of which every replica has a separate copy."""
    return tf.Variable(
        value,
        trainable=False,
        synchronization=tf.VariableSynchronization.ON_READ,
        aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
    )
