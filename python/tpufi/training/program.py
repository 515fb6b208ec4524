# SPDX-License-Identifier: Apache-2.0
"""The training step of a workload with virtual replicas, as two traced programs.

Virtual replicas run one after the other on one device with the mathematics of a data-
parallel cluster: each has its own part of the batch and its own batch statistics, and
gradients are summed in the order of the replicas. One trace serves every fault.
"""

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np
import tensorflow as tf

from tpufi.data.batches import Batch
from tpufi.descriptor import Descriptor
from tpufi.layers.layer import Run
from tpufi.layers.unit_context import read_counts
from tpufi.progress import compiling
from tpufi.training.determinism import exact_arithmetic
from tpufi.training.devices import check_compiled, placed, warn_of_hang
from tpufi.training.sent import with_sent
from tpufi.training.state import State
from tpufi.training.step import Operands, TrainingStep, examples_of, operands_of
from tpufi.training.step_values import StepInputs, StepOutputs
from tpufi.units import UnitFault
from tpufi.workload import Workload


@dataclasses.dataclass(frozen=True, eq=False)
class StepResult:
    """What a step returns to the host.

    Args:
      state: the state after the step.
      loss: mean loss over the global batch.
      accuracy: share of correct classifications.
      record: float32 record of the fault, see `tpufi.descriptor.read_record`; of a
        broken unit int64 [2], how many values passed through it, and how many of them
        it changed; None of a clean step.
    """

    state: State
    loss: float
    accuracy: float
    record: np.ndarray | None

    @classmethod
    def of(
        cls,
        found: StepOutputs,
        batch: Batch,
        fault: Descriptor | UnitFault | None = None,
    ) -> "StepResult":
        """Return what a step returned, on the host.

        Args:
          found: what it returned.
          batch: its batch.
          fault: what was injected.
        """
        accuracy = int(found.correct) / batch.labels.size
        record = recorded(fault, found.record) if tf.is_tensor(found.record) else None
        return cls(found.state, float(found.loss), accuracy, record)


def step_inputs(batch: Batch, keys: np.ndarray, rate: float) -> StepInputs:
    """Return what a step reads besides the state, on the device.

    Args:
      batch: the images and labels of all replicas.
      keys: uint32 [replicas, 2], keys of this step for dropout.
      rate: learning rate.
    """
    return StepInputs(
        tf.constant(batch.images),
        tf.constant(batch.labels),
        tf.constant(keys, tf.uint32),
        tf.constant(rate, tf.float32),
    )


def recorded(fault: Descriptor | UnitFault, record: tf.Tensor) -> np.ndarray:
    """Return the record of a step as `StepResult` has it."""
    found = record.numpy()
    return read_counts(found) if isinstance(fault, UnitFault) else found


class Program:
    """The training step and the evaluation of one workload.

    Each of its two programs, clean and armed, is traced when it is first needed.

    Args:
      workload: what is trained.
      replicas: data-parallel replicas, >= 1.
      per_replica: images of one replica, >= 1.
      compiled: True compiles with XLA.
      sites: names of the sites that faults may name; None: all.
      device: where it runs, one of `tpufi.training.devices.DEVICES`.

    Raises:
      InputError: there is no such site, or the device needs a compiled program.
    """

    def __init__(
        self,
        workload: Workload,
        replicas: int = 8,
        per_replica: int = 128,
        *,
        compiled: bool = False,
        sites: Iterable[str] | None = None,
        device: str = "cpu",
    ):
        check_compiled(device, compiled)
        self.workload = workload
        self.replicas = replicas
        self.per_replica = per_replica
        self.compiled = compiled
        self.device = device
        names = None if sites is None else frozenset(sites)
        self.training_step = TrainingStep(
            workload, replicas, per_replica, compiled, names
        )
        self.table = self.training_step.table
        self.traces = 0
        options = {"jit_compile": compiled, "autograph": False}
        self._clean = tf.function(self.clean_step, **options)
        self._armed = tf.function(self.armed_step, **options)
        self._evaluate = tf.function(self._traced_evaluation, **options)

    def step(
        self,
        state: State,
        batch: Batch,
        keys: np.ndarray,
        rate: float,
        fault: Descriptor | UnitFault | None = None,
        number: int | None = None,
    ) -> StepResult:
        """Run one training step.

        Args:
          state: the state before the step; it stays valid.
          batch: the images and labels of all replicas.
          keys: uint32 [replicas, 2], keys of this step for dropout.
          rate: learning rate.
          fault: what to inject, in the armed program; `descriptor.disarmed()` runs that
            without a fault. Of a broken unit there is an armed program for each kind.
            None: the clean program runs.
          number: of the step, since the start of training; None: the fault has no
            separate moment.

        Raises:
          InputError: the fault has a moment, and there is no number.
        """
        with self.running():
            inputs = step_inputs(batch, keys, rate)
            operands = operands_of(fault, number, self.training_step, state)
            state = with_sent(state, fault, number, self.replicas)
            if operands is None:
                found = self._clean(state, inputs)
            else:
                found = self._armed(state, inputs, operands)
        return StepResult.of(found, batch, fault)

    def evaluate(self, state: State, batch: Batch) -> tuple[float, int]:
        """Return the summed loss and the number of correct classifications."""
        with self.running():
            loss, correct = self._evaluate(
                state._replace(sent=()),
                tf.constant(batch.images),
                tf.constant(batch.labels),
                tf.constant(batch.present),
            )
        return float(loss), int(correct)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Run functions as the program runs: on its device, with exact arithmetic."""
        with exact_arithmetic(), placed(self.device):
            yield

    def clean_step(self, state: State, inputs: StepInputs) -> StepOutputs:
        """Build the step without sites; a function of tensors only."""
        self.traces += 1
        compiling("the training step")
        return self.training_step.one_by_one(state, inputs, None)

    def armed_step(
        self, state: State, inputs: StepInputs, fault: Operands
    ) -> StepOutputs:
        """Build the step with sites; a function of tensors only."""
        self.traces += 1
        compiling("the training step with fault sites")
        names = self.training_step.names
        count = len(self.table) if names is None else len(names)
        warn_of_hang(self.device, self.compiled, count)
        return self.training_step.one_by_one(state, inputs, fault)

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
