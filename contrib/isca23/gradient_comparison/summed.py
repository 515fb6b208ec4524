# SPDX-License-Identifier: Apache-2.0
"""The gradients of one training step, summed over the replicas, on the host."""

import dataclasses
import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tpufi.contrib.isca23.gradient_comparison.autodiff import without_backward
from tpufi.descriptor import Descriptor, disarmed, record_shape
from tpufi.layers import Run
from tpufi.progress import Progress
from tpufi.random import derive
from tpufi.training import Session, State
from tpufi.training.determinism import exact_arithmetic
from tpufi.training.devices import placed
from tpufi.training.step import FaultOperands, TrainingStep, examples_of
from tpufi.training.step_values import StepInputs
from tpufi.workload import Workload


class Summed(NamedTuple):
    """What all replicas contribute to one step.

    Fields:
      loss: mean loss over the global batch.
      gradients: by parameter name, in the order of creation.
      record: what was injected; see `tpufi.descriptor.read_record`.
    """

    loss: float
    gradients: dict[str, np.ndarray]
    record: np.ndarray


class GradientProgram:
    """The gradients of a workload, handwritten or by autodiff; one trace each.

    The handwritten ones are those of `tpufi.training.Program`, bit for bit: the same
    function of a replica, and the same order of summation.

    Args:
      workload: what is trained.
      replicas: data-parallel replicas.
      per_replica: images of one replica.
      autodiff: True leaves the differentiation of the forward pass to TensorFlow and
        all fault sites out.
    """

    def __init__(
        self,
        workload: Workload,
        replicas: int,
        per_replica: int,
        *,
        autodiff: bool = False,
    ):
        self.workload = workload
        self._step = TrainingStep(workload, replicas, per_replica)
        self.table = self._step.table
        self._autodiff = autodiff
        self._run = tf.function(
            self._by_autodiff if autodiff else self._handwritten, autograph=False
        )

    def __call__(
        self, session: Session, state: State, number: int, fault: Descriptor | None
    ) -> Summed:
        """Return the gradients of a step.

        Args:
          session: gives the batch and the keys of the step.
          state: the state before it, of the workload's type.
          number: steps since the start of training, from 0.
          fault: what to inject; None for no fault.

        Raises:
          ValueError: autodiff has no sites for a fault.
        """
        if self._autodiff and fault is not None:
            raise ValueError("the program of autodiff has no fault sites")
        fault = fault if fault is not None else disarmed()
        epoch, step = divmod(number, session.steps_per_epoch)
        batch = session.batches.train(epoch, step)
        total = self._nothing(state, fault)
        replicas = self._step.replicas
        label = "autodiff" if self._autodiff else "handwritten"
        for replica in Progress(label, replicas).steps(range(replicas)):
            key = derive(session.seed, "dropout", epoch, step, replica)
            with exact_arithmetic(), placed("cpu"):
                loss, gradients, record = self._run(
                    state,
                    tf.constant(batch.images[replica]),
                    tf.constant(batch.labels[replica]),
                    tf.constant(np.array(key, np.uint32)),
                    tf.constant(replica, tf.int64),
                    tf.constant(fault.faults),
                    tf.constant(fault.words),
                )
            own = Summed(
                loss.numpy(),
                {name: gradients[name].numpy() for name in state.parameters},
                record.numpy(),
            )
            total = _added(total, own)
        return total._replace(loss=float(total.loss))

    def _nothing(self, state: State, fault: Descriptor) -> Summed:
        """Zeros, from which `Program` starts its sums too: 0.0 + -0.0 is 0.0."""
        dtype = self.workload.dtype
        return Summed(
            np.zeros([], dtype),
            {name: np.zeros(w.shape, dtype) for name, w in state.parameters.items()},
            np.zeros(record_shape(fault.words), np.float32),
        )

    def _handwritten(
        self,
        state: State,
        images: tf.Tensor,
        labels: tf.Tensor,
        seed: tf.Tensor,
        replica: tf.Tensor,
        faults: tf.Tensor,
        words: tf.Tensor,
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor], tf.Tensor]:
        context = self._step.context(replica, FaultOperands(faults, words))
        # The passes do not read the rate.
        inputs = StepInputs(images, labels, seed, tf.zeros([]))
        own = self._step.passes(state, inputs, context)
        return own.loss, own.gradients, own.record

    def _by_autodiff(
        self,
        state: State,
        images: tf.Tensor,
        labels: tf.Tensor,
        seed: tf.Tensor,
        replica: tf.Tensor,
        faults: tf.Tensor,
        words: tf.Tensor,
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor], tf.Tensor]:
        del replica
        run = Run(state.parameters, state.statistics, training=True, seed=seed)
        model = without_backward(self.workload.model)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(state.parameters)
            logits = model(examples_of(self.workload, images), run)
            losses = self.workload.loss.infer(logits, labels)
            # An example may have several labels, and counts as their mean.
            batch = self._step.replicas * self._step.per_replica
            count = batch * math.prod(labels.shape[1:])
            loss = tf.reduce_sum(losses) / count
        found = tape.gradient(
            loss, state.parameters, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        # The gradient of a table that was looked up in has only the rows that were.
        gradients = {name: tf.convert_to_tensor(g) for name, g in found.items()}
        return loss, gradients, tf.zeros(record_shape(words))


def in_dtype(workload: Workload, state: State, dtype: str) -> tuple[Workload, State]:
    """Return workload and state with weights and activations of another type."""
    tensors = [
        {name: tf.cast(x, dtype) for name, x in group.items()}
        for group in (state.parameters, state.slots, state.statistics)
    ]
    return dataclasses.replace(workload, dtype=dtype), State(*tensors, state.updates)


def _added(total: Summed, own: Summed) -> Summed:
    # A faulty replica may overflow; that is a result.
    with np.errstate(over="ignore", invalid="ignore"):
        return Summed(
            total.loss + own.loss,
            {name: g + own.gradients[name] for name, g in total.gradients.items()},
            total.record + own.record,
        )
