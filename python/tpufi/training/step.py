# SPDX-License-Identifier: Apache-2.0
"""The training step: the only place that builds one.

A step is what each replica does (`passes`), the sum of that over all replicas, and what
is then done once (`update`). Who runs it decides where the replicas are: one after the
other on one device, or each on a separate device.

There are two programs of a step. The clean one has no fault sites, and is what a step
without a fault runs. The armed one has sites and takes the fault as run-time operands.
"""

import dataclasses
from collections.abc import Callable, Set
from typing import Any

import tensorflow as tf

from tpufi.descriptor import CAPACITY, Descriptor
from tpufi.errors import InputError
from tpufi.layers.accumulator import accumulator
from tpufi.layers.compiled_sites import CompiledContext
from tpufi.layers.context import CLEAN, FaultContext
from tpufi.layers.layer import Run
from tpufi.layers.unit_context import UnitContext, UnitOperands
from tpufi.ops import prepare_faults
from tpufi.site_table import SiteTable
from tpufi.training.operands import FaultOperands
from tpufi.training.state import State
from tpufi.training.step_values import ReplicaResult, StepInputs, StepOutputs
from tpufi.training.watch import Looked, Observer, Watch
from tpufi.units import MemoryAddress, SavedActivation, UnitFault
from tpufi.workload import Workload

# The update happens once, not per replica; a fault in it names replica 0 or all.
_UPDATE_REPLICA = 0


# What a program is armed with.
Operands = FaultOperands | UnitOperands


def operands_of(
    fault: Descriptor | UnitFault | None,
    number: int | None,
    step: "TrainingStep",
    state: State,
) -> Operands | None:
    """Return a fault as the operands of one step; None: the step is clean.

    Args:
      fault: what to inject.
      number: of the step, since the start of training; None: the fault does not ask.
      step: what it is injected into.
      state: the state before the step.

    Raises:
      InputError: the fault asks for the number, has other bits than the type, or names
        a tensor or an element that there is not.
    """
    if isinstance(fault, UnitFault):
        if number is None:
            raise InputError(
                "a broken unit has a moment and the step no number; tell steps since "
                "the start of training"
            )
        among = {}
        if isinstance(fault.unit, MemoryAddress):
            parts = state.parameters, state.slots, state.statistics
            among = {n: x.shape.num_elements() for p in parts for n, x in p.items()}
        elif isinstance(fault.unit, SavedActivation):
            among = step.table.kept()
        return UnitOperands.of(fault, step.workload.dtype, number, among)
    return None if fault is None else FaultOperands.of(fault, number)


@dataclasses.dataclass(frozen=True, eq=False)
class TrainingStep:
    """The training step of a workload; every argument named `fault` may be None.

    Args:
      workload: what is trained.
      replicas: data-parallel replicas, >= 1.
      per_replica: examples of one replica, >= 1.
      compiled: whether XLA compiles the program.
      names: names of the sites that an armed step has; None: all.
    """

    workload: Workload
    replicas: int
    per_replica: int
    compiled: bool = False
    names: Set[str] | None = None
    table: SiteTable = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "table", self.workload.sites(self.per_replica))
        for name in self.names or ():
            self.table.id_of(name)

    def context(self, replica: tf.Tensor | int, fault: Operands | None) -> FaultContext:
        """Return the sites of a replica's program: none without a fault."""
        if fault is None:
            return dataclasses.replace(CLEAN, compiled=self.compiled)
        replica = tf.cast(replica, tf.int64)
        if isinstance(fault, UnitOperands):
            return UnitContext.of_replica(self.table, replica, fault, self.compiled)
        context = FaultContext(
            self.table,
            replica,
            fault.faults,
            fault.words,
            self.names,
            self.compiled,
        )
        if fault.prepared:
            context = CompiledContext.of_replica(context, fault.prepared)
        injected = fault.injected(replica)
        return context if injected is None else context.without(~injected[:, None])

    def prepared(self, fault: Operands | None) -> Operands | None:
        """Return a fault as all sites of the program take it."""
        if not self.compiled or not isinstance(fault, FaultOperands):
            return fault
        sites = [s for s in self.table if self.names is None or s.name in self.names]
        largest = max((site.size for site in sites), default=1)
        given = fault.faults, fault.words
        prepared = prepare_faults(*given, list(self.table), largest, CAPACITY)
        return fault._replace(prepared=prepared)

    def passes(
        self,
        state: State,
        inputs: StepInputs,
        context: FaultContext,
        observer: Observer | None = None,
    ) -> ReplicaResult:
        """Run forward and backward pass of one replica.

        Args:
          state: the state before the step, with what this replica sent before.
          inputs: those of this replica.
          context: its sites.
          observer: sees its layers; None: nothing does.
        """
        probe = context.probe()
        examples = examples_of(self.workload, inputs.images)
        state, read = stored(state, context)
        weights = state.parameters, state.statistics
        run = Run(*weights, True, context, probe, inputs.seeds, examples)
        run.observe = observer
        sources = [*state.parameters.values(), *([] if probe is None else [probe])]
        logits = self.workload.model(examples, run)
        batch = self.replicas * self.per_replica
        loss = self.workload.loss(logits, inputs.labels, batch, run)
        # A tape sums gradients by AddN, which on a CPU begins with the first term that
        # nothing else reads any more: three terms then round as threads happen to run.
        gradients = tf.gradients(
            loss, sources, aggregation_method=tf.AggregationMethod.EXPERIMENTAL_TREE
        )
        guesses = tf.argmax(logits, -1, output_type=inputs.labels.dtype)
        correct = tf.reduce_sum(tf.cast(tf.equal(guesses, inputs.labels), tf.int64))
        sums, record = dict(zip(state.parameters, gradients, strict=False)), ()
        given = ()
        if probe is not None:
            record = run.probe + gradients[-1]
        if isinstance(context, UnitContext):
            given = sums if context.unit.stale else ()
            sums, sent = context.sent(sums, dict(state.sent))
            record += read + sent
        return ReplicaResult(
            sums,
            {name: run.new_statistics[name] for name in state.statistics},
            loss,
            correct,
            record,
            given,
        )

    def update(
        self, state: State, total: ReplicaResult, rate: tf.Tensor, context: FaultContext
    ) -> tuple[State, tf.Tensor | tuple[()]]:
        """Update the weights with the sum over all replicas.

        Returns:
          The new state and the record of the faults in the update.
        """
        return self._updated(state, total, rate, context)[:2]

    def _updated(
        self, state: State, total: ReplicaResult, rate: tf.Tensor, context: FaultContext
    ) -> tuple[State, tf.Tensor | tuple[()], State]:
        """Return the same, and the new state before its memory alters it."""
        state, read = stored(state, context)
        updates = state.updates + 1
        optimizer, dtype = self.workload.optimizer, self.workload.dtype
        wide = accumulator(dtype)
        size = optimizer.step_size(tf.cast(rate, wide), tf.cast(updates, wide))
        parameters, slots, records = {}, {}, ()
        for name, weight in state.parameters.items():
            sites = context.layer(name, records)
            old = {s: state.slots[f"{name}/{s}"] for s in optimizer.slots()}
            parameters[name], new = sites.whole_pass(
                optimizer.update, weight, total.gradients[name], old, size
            )
            slots |= {f"{name}/{s}": tensor for s, tensor in new.items()}
            records = sites.records()
        statistics = {n: s / self.replicas for n, s in total.statistics.items()}
        record = records[0] if records else ()
        written = State(parameters, slots, statistics, updates)
        new, left = stored(written, context)
        if isinstance(context, UnitContext):
            record = record + read + left
        return new, record, written

    def one_by_one(
        self, state: State, inputs: StepInputs, fault: Operands | None
    ) -> StepOutputs:
        """Run the step with its replicas one after the other on one device.

        Args:
          state: the state before the step.
          inputs: those of all replicas; the first axis but of the rate is replicas.
          fault: what to inject; None: the step is clean.
        """
        fault = self.prepared(fault)
        context = self.context(_UPDATE_REPLICA, fault)
        total, _ = self._summed(state, inputs, fault, context)
        return self._finished(state, total, inputs.rate, context)[0]

    def watched(
        self,
        state: State,
        inputs: StepInputs,
        fault: Operands | None,
        watch: Watch,
        memory: Any,
    ) -> tuple[StepOutputs, Any]:
        """Run the same step as `one_by_one` and let a watch look at it.

        Args:
          state: the state before the step.
          inputs: those of all replicas; the first axis but of the rate is replicas.
          fault: what to inject; None: the step is clean.
          watch: looks at it.
          memory: what the watch keeps from step to step.

        Returns:
          What the step returns, and what the watch made of it.
        """
        fault = self.prepared(fault)
        context = self.context(_UPDATE_REPLICA, fault)
        total, noted = self._summed(state, inputs, fault, context, watch)
        gradients = watch.restricted(total.gradients)
        given = total._replace(gradients=gradients)
        found, written = self._finished(state, given, inputs.rate, context)
        if isinstance(fault, UnitOperands):
            # Each chip has a memory; the one that may be broken is looked at.
            replica = tf.maximum(fault.replica, _UPDATE_REPLICA)
            state, _ = stored(state, self.context(replica, fault))
        looked = Looked(state, written, total.gradients, total.loss, inputs.rate, noted)
        return found, watch.look(looked, memory)

    def _summed(
        self,
        state: State,
        inputs: StepInputs,
        fault: Operands | None,
        context: FaultContext,
        watch: Watch | None = None,
    ) -> tuple[ReplicaResult, Any]:
        """Return the sum over all replicas, and what was noted of each."""

        def own_inputs(replica: tf.Tensor | int) -> StepInputs:
            return StepInputs(*(x[replica] for x in inputs[:3]), inputs.rate)

        def body(replica: tf.Tensor, total: ReplicaResult, noted: Any) -> tuple:
            observer = watch.observer() if watch else None
            mine = own_inputs(replica)
            before = tf.nest.map_structure(lambda x: x[replica], state.sent)
            own = self.passes(
                state._replace(sent=before),
                mine,
                self.context(replica, fault),
                observer,
            )
            summed = tf.nest.map_structure(tf.add, *map(_summands, (total, own)))

            def kept(all_: tf.Tensor, mine: tf.Tensor) -> tf.Tensor:
                return tf.tensor_scatter_nd_update(all_, [[replica]], [mine])

            told = watch.note(own, mine, observer) if watch else ()
            sent, noted = tf.nest.map_structure(
                kept, (total.sent, noted), (own.sent, told)
            )
            return replica + 1, summed._replace(sent=sent), noted

        nothing = ReplicaResult(
            {name: tf.zeros_like(w) for name, w in state.parameters.items()},
            {name: tf.zeros_like(s) for name, s in state.statistics.items()},
            tf.zeros([], self.workload.dtype),
            tf.zeros([], tf.int64),
            context.probe() if fault else (),
            tf.nest.map_structure(tf.zeros_like, state.sent),
        )
        unseen = tf.nest.map_structure(
            lambda x: tf.zeros([self.replicas, *x.shape], x.dtype),
            watch.note(nothing, own_inputs(0), None) if watch else (),
        )
        _, total, noted = tf.while_loop(
            lambda replica, *_: replica < self.replicas,
            body,
            (tf.zeros([], tf.int64), nothing, unseen),
            parallel_iterations=1,
            maximum_iterations=self.replicas,
        )
        return total, noted

    def on_device(
        self,
        state: State,
        inputs: StepInputs,
        replica: tf.Tensor,
        fault: Operands | None,
        summed: Callable[[ReplicaResult], ReplicaResult],
        part: Callable[[Callable], Callable] = lambda function: function,
    ) -> StepOutputs:
        """Run the step of one replica that has a separate device.

        Args:
          state: the state before the step; every replica has the same, and what it
            sent itself.
          inputs: those of this replica.
          replica: its number, an int64 scalar.
          fault: what to inject; None: the step is clean.
          summed: returns the sum of what all replicas contribute.
          part: compiles what comes before the sum, and what comes after it.
        """

        def before(state, inputs, replica, fault) -> ReplicaResult:
            context = self.context(replica, self.prepared(fault))
            return self.passes(state, inputs, context)

        def after(state, total, rate, fault) -> StepOutputs:
            # The update is the same on every replica, faults in it included.
            context = self.context(_UPDATE_REPLICA, self.prepared(fault))
            return self._finished(state, total, rate, context)[0]

        own = part(before)(state, inputs, replica, fault)
        total = summed(_summands(own))._replace(sent=own.sent)
        return part(after)(state, total, inputs.rate, fault)

    def watched_on_device(
        self,
        state: State,
        inputs: StepInputs,
        replica: tf.Tensor,
        watch: Watch,
        memory: Any,
        summed: Callable[[Any], Any],
    ) -> tuple[StepOutputs, Any]:
        """Run the clean step of one replica as `on_device`, and let a watch look at it.

        Args:
          state: the state before the step; every replica has the same.
          inputs: those of this replica.
          replica: its number, an int64 scalar.
          watch: looks at it; each replica's comes to the same.
          memory: what the watch keeps from step to step.
          summed: returns the sum of a nest of tensors over all replicas.

        Returns:
          What the step returns, and what the watch made of it.
        """
        context, observer = self.context(replica, None), watch.observer()
        own = self.passes(state, inputs, context, observer)

        def placed(x: tf.Tensor) -> tf.Tensor:
            place = [tf.cast(replica, tf.int32)]
            return tf.scatter_nd([place], [x], [self.replicas, *x.shape])

        noted = tf.nest.map_structure(placed, watch.note(own, inputs, observer))
        total, noted = summed((own, noted))
        given = total._replace(gradients=watch.restricted(total.gradients))
        found, written = self._finished(state, given, inputs.rate, context)
        looked = Looked(state, written, total.gradients, total.loss, inputs.rate, noted)
        return found, watch.look(looked, memory)

    def _finished(
        self, state: State, total: ReplicaResult, rate: tf.Tensor, context: FaultContext
    ) -> tuple[StepOutputs, State]:
        """Return what the step returns, and the state that it wrote."""
        state, record, written = self._updated(state, total, rate, context)
        if context.table:
            record = total.record + record
        state = state._replace(sent=total.sent)
        return StepOutputs(state, total.loss, total.correct, record), written


def _summands(own: ReplicaResult) -> ReplicaResult:
    """Return what of a replica is added to what others contribute."""
    return own._replace(sent=())


def stored(state: State, context: FaultContext) -> tuple[State, tf.Tensor | tuple[()]]:
    """Return a state as its memory leaves it, and the record of that."""
    if not isinstance(context, UnitContext):
        return state, ()
    parts = state.parameters, state.slots, state.statistics
    found, record = context.read({n: x for part in parts for n, x in part.items()})
    parts = ({name: found[name] for name in part} for part in parts)
    return State(*parts, state.updates, state.sent), record


def examples_of(workload: Workload, examples: tf.Tensor) -> tf.Tensor:
    """Return the examples in the type of the activations; tokens stay as they are."""
    examples = tf.convert_to_tensor(examples)
    floating = examples.dtype.is_floating
    return tf.cast(examples, workload.dtype) if floating else examples
