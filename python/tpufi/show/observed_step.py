# SPDX-License-Identifier: Apache-2.0
"""A training step that also returns the tensors of chosen sites."""

import dataclasses
import functools
from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from tpufi.data.batches import Batch
from tpufi.descriptor import EVERY_REPLICA, FIELDS, Descriptor, Injected, read_record
from tpufi.progress import Progress, compiling
from tpufi.show.tapped_sites import TappedContext
from tpufi.training.determinism import exact_arithmetic
from tpufi.training.devices import check_compiled, placed
from tpufi.training.state import State, Tensors
from tpufi.training.step import TrainingStep
from tpufi.training.step_values import ReplicaResult, StepInputs
from tpufi.workload import Workload

Inputs = tuple[Batch, np.ndarray, float]


@dataclasses.dataclass(frozen=True, eq=False)
class Observed:
    """What was seen of one step.

    Args:
      tensors: by name of the site, in the layout that positions refer to; those of the
        passes are of the observed replica.
      state: the state after the step.
      loss: mean loss over the global batch.
      injected: what the rows of the descriptor changed in the observed replica and in
        the update.
      parts: what each replica contributed.
    """

    tensors: Tensors
    state: State
    loss: float
    injected: tuple[Injected, ...]
    parts: tuple[ReplicaResult, ...]


class ObservedStep:
    """The step of `training.Program`, its replicas one by one.

    In graph mode it has the bits of the program. It is the same with and without a
    fault, and traced once for all of them.

    Args:
      workload: what is trained.
      replicas: data-parallel replicas.
      per_replica: examples of one replica.
      names: sites to see.
      replica: whose passes are seen.
      armed: sites that faults may name; None: all.
      compiled: whether XLA compiles.
      device: where it runs, one of `tpufi.training.devices.DEVICES`.
    """

    def __init__(
        self,
        workload: Workload,
        replicas: int,
        per_replica: int,
        names: Iterable[str],
        replica: int = 0,
        *,
        armed: Iterable[str] | None = None,
        compiled: bool = False,
        device: str = "cpu",
    ):
        check_compiled(device, compiled)
        chosen = None if armed is None else frozenset(armed)
        self._step = TrainingStep(workload, replicas, per_replica, compiled, chosen)
        self._device = device
        self._names = frozenset(names)
        self._replica = replica
        options = {"jit_compile": compiled, "autograph": False}
        self._pass = tf.function(self._traced_pass, **options)
        self._update = tf.function(self._traced_update, **options)

    def __call__(
        self,
        state: State,
        inputs: Inputs,
        fault: Descriptor,
        golden: Observed | None = None,
    ) -> Observed:
        """Run the step.

        Args:
          state: the state before it.
          inputs: what `Session.inputs` gives.
          fault: the fault, or `descriptor.disarmed` with as many rows for none.
          golden: the same step without the fault, whose replicas are not run again
            where the fault is not injected; None: all are run.
        """
        batch, keys, rate = inputs
        faults, words = tf.constant(fault.faults), tf.constant(fault.words)
        parts, tensors = [], {} if golden is None else golden.tensors
        with exact_arithmetic(), placed(self._device):
            label = (
                "step without the fault" if golden is None else "step with the fault"
            )
            count = self._step.replicas
            for replica in Progress(label, count).steps(range(count)):
                if golden is not None and not _is_injected(fault, replica):
                    parts.append(golden.parts[replica])
                    continue
                part, seen = self._pass(
                    state,
                    StepInputs(
                        tf.constant(batch.images[replica]),
                        tf.constant(batch.labels[replica]),
                        tf.constant(keys[replica], tf.uint32),
                        tf.constant(rate, tf.float32),
                    ),
                    tf.constant(replica, tf.int64),
                    faults,
                    words,
                )
                parts.append(part)
                if replica == self._replica:
                    tensors = seen
            total = functools.reduce(
                functools.partial(tf.nest.map_structure, tf.add),
                parts,
                tf.nest.map_structure(tf.zeros_like, parts[0]),
            )
            rate = tf.constant(rate, tf.float32)
            after, seen, record = self._update(state, total, rate, faults, words)
        record = parts[self._replica].record + record
        return Observed(
            {**tensors, **seen},
            after,
            float(total.loss),
            read_record(record.numpy()),
            tuple(parts),
        )

    def _traced_pass(
        self,
        state: State,
        inputs: StepInputs,
        replica: tf.Tensor,
        faults: tf.Tensor,
        words: tf.Tensor,
    ) -> tuple[ReplicaResult, Tensors]:
        compiling("the step with all results of its layers")
        context = self._context(replica, faults, words)
        return self._step.passes(state, inputs, context), context.tensors

    def _traced_update(
        self,
        state: State,
        total: ReplicaResult,
        rate: tf.Tensor,
        faults: tf.Tensor,
        words: tf.Tensor,
    ) -> tuple[State, Tensors, tf.Tensor]:
        context = self._context(tf.constant(0, tf.int64), faults, words)
        state, record = self._step.update(state, total, rate, context)
        return state, context.tensors, record

    def _context(
        self, replica: tf.Tensor, faults: tf.Tensor, words: tf.Tensor
    ) -> TappedContext:
        step = self._step
        operands = replica, faults, words, step.names, step.compiled
        return TappedContext(step.table, *operands, seen=self._names)


def _is_injected(fault: Descriptor, replica: int) -> bool:
    named = fault.faults[:, FIELDS.index("replica")]
    return bool(np.isin(named, (replica, EVERY_REPLICA)).any())
