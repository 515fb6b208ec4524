# SPDX-License-Identifier: Apache-2.0
"""The gradients of one training step, summed over the replicas, on the host."""

import dataclasses
import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tpufi.descriptor import Descriptor, disarmed
from tpufi.gradient_comparison.autodiff import without_backward
from tpufi.layers import Hooks, Run
from tpufi.progress import Progress
from tpufi.random import derive
from tpufi.training import Session, State
from tpufi.training.determinism import exact_arithmetic
from tpufi.training.replica import replica_gradients
from tpufi.workload import Workload


class Summed(NamedTuple):
    """What all replicas contribute to one step.

    Fields:
      loss: mean loss over the global batch.
      gradients: by parameter name, in the order of creation.
      record: what was struck; see `tpufi.descriptor.read_record`.
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
        self.table = workload.sites(per_replica)
        self._autodiff = autodiff
        self._global_batch = replicas * per_replica
        self._replicas = replicas
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
        label = "autodiff" if self._autodiff else "handwritten"
        for replica in Progress(label, self._replicas).steps(range(self._replicas)):
            key = derive(session.seed, "dropout", epoch, step, replica)
            with exact_arithmetic():
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
        hooks = Hooks(None, tf.zeros([], tf.int64), fault.faults, fault.words)
        dtype = self.workload.dtype
        return Summed(
            np.zeros([], dtype),
            {name: np.zeros(w.shape, dtype) for name, w in state.parameters.items()},
            np.zeros(hooks.record_shape, np.float32),
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
        hooks = Hooks(self.table, replica, faults, words)
        images = self._cast(images)
        own = replica_gradients(
            self.workload, state, images, labels, seed, hooks, self._global_batch
        )
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
        hooks = Hooks(None, replica, faults, words)
        run = Run(state.parameters, state.statistics, True, hooks, None, seed)
        model = without_backward(self.workload.model)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(state.parameters)
            logits = model(self._cast(images), run)
            losses = self.workload.loss.infer(logits, labels)
            # An example may have several labels, and counts as their mean.
            count = self._global_batch * math.prod(labels.shape[1:])
            loss = tf.reduce_sum(losses) / count
        found = tape.gradient(
            loss, state.parameters, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        # The gradient of a table that was looked up in has only the rows that were.
        gradients = {name: tf.convert_to_tensor(g) for name, g in found.items()}
        return loss, gradients, tf.zeros(hooks.record_shape)

    def _cast(self, images: tf.Tensor) -> tf.Tensor:
        if images.dtype.is_floating:
            return tf.cast(images, self.workload.dtype)
        return images


def in_dtype(workload: Workload, state: State, dtype: str) -> tuple[Workload, State]:
    """Return workload and state with weights and activations of another type."""
    tensors = [
        {name: tf.cast(x, dtype) for name, x in group.items()}
        for group in (state.parameters, state.slots, state.statistics)
    ]
    return dataclasses.replace(workload, dtype=dtype), State(*tensors, state.updates)


def _added(total: Summed, own: Summed) -> Summed:
    # A struck replica may overflow; that is a result.
    with np.errstate(over="ignore", invalid="ignore"):
        return Summed(
            total.loss + own.loss,
            {name: g + own.gradients[name] for name, g in total.gradients.items()},
            total.record + own.record,
        )
