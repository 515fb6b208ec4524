# SPDX-License-Identifier: Apache-2.0
"""Several steps in one call: the device never waits for the host.

Loss, accuracy, what a fault did and whether the loss is finite are gathered on the
device and read once for a block, and the next block's batches are made while one runs.
"""

import concurrent.futures
import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from tpufi.descriptor import Descriptor, record_shape
from tpufi.layers.unit_context import UnitOperands, unit_probe
from tpufi.training.program import Program, StepResult, recorded
from tpufi.training.sent import with_sent
from tpufi.training.session import Session
from tpufi.training.state import State
from tpufi.training.step import Operands, operands_of
from tpufi.training.step_values import StepInputs, StepOutputs
from tpufi.units import UnitFault


@dataclasses.dataclass(frozen=True, eq=False)
class BlockResult:
    """What a block returns to the host.

    Args:
      state: after its last step.
      losses: mean loss of each step that was run; only the last may be not finite.
      accuracies: share of correct classifications of each.
      records: record of each, see `tpufi.training.program.StepResult`; empty of a clean
        block.
    """

    state: State
    losses: tuple[float, ...]
    accuracies: tuple[float, ...]
    records: tuple[np.ndarray, ...] = ()

    @classmethod
    def of(cls, step: StepResult) -> "BlockResult":
        """Return a single step as a block."""
        records = () if step.record is None else (step.record,)
        return cls(step.state, (step.loss,), (step.accuracy,), records)


class Blocks:
    """Runs steps of a session in blocks; each has the bits of single steps.

    Under XLA the loop is another program than the step and may round differently, so
    blocks are for graph mode.

    Args:
      session: its programs are traced once more, each as a loop, when they are needed.
      size: most steps of a block, >= 1.
    """

    def __init__(self, session: Session, size: int = 8):
        self.size = size
        self._session = session
        self._block = tf.function(self._traced, autograph=False)
        self._armed = tf.function(self._traced_armed, autograph=False)
        self._maker = concurrent.futures.ThreadPoolExecutor(1)
        self._ahead: tuple[range, concurrent.futures.Future] | None = None

    @staticmethod
    def serve(session: Session) -> bool:
        """Tell whether a session's steps can be run in blocks."""
        return isinstance(session.program, Program) and not session.program.compiled

    def run(
        self,
        state: State,
        first: int,
        count: int,
        then: int = 0,
        fault: Descriptor | UnitFault | None = None,
    ) -> BlockResult:
        """Run steps until one has a loss that is not finite.

        Args:
          state: before step `first`; it stays valid.
          first: steps since the start of training.
          count: steps to run, 1 to `size`.
          then: steps of the block that will follow; their batches are made meanwhile.
          fault: what to inject, in the armed program: its moment tells the device in
            which steps. None: the clean program runs.
        """
        steps = range(first, first + count)
        stacked = self._made(steps)
        self._ahead = None
        if then:
            following = range(steps.stop, steps.stop + then)
            self._ahead = following, self._maker.submit(self._stacked, following)
        step = self._session.program.training_step
        with self._session.program.running():
            inputs = tf.nest.map_structure(tf.constant, stacked)
            state = with_sent(state, fault, first, step.replicas)
            given = state, tf.constant(count), inputs
            if fault is None:
                state, run, losses, correct = self._block(*given)
                records = None
            else:
                operands = operands_of(fault, first, step, state)
                state, run, losses, correct, records = self._armed(*given, operands)
        run = int(run)
        labels = stacked.labels[0].size
        accuracies = (correct.numpy()[:run] / labels).tolist()
        return BlockResult(
            state,
            tuple(losses.numpy()[:run].tolist()),
            tuple(accuracies),
            () if records is None else tuple(recorded(fault, r) for r in records[:run]),
        )

    def _made(self, steps: range) -> StepInputs:
        if self._ahead is not None and self._ahead[0] == steps:
            return self._ahead[1].result()
        return self._stacked(steps)

    def _stacked(self, steps: range) -> StepInputs:
        """Return the inputs of the steps one behind the other, filled up to `size`."""
        inputs = [
            StepInputs(batch.images, batch.labels, keys, np.float32(rate))
            for batch, keys, rate in map(self._session.inputs, steps)
        ]
        inputs += inputs[-1:] * (self.size - len(inputs))
        return StepInputs(*map(np.stack, zip(*inputs, strict=True)))

    def _traced(self, state: State, count: tf.Tensor, stacked: StepInputs) -> tuple:
        """Build a block without sites: state, steps, losses and correct labels."""
        step = self._session.program.clean_step

        def run(state: State, inputs: StepInputs, number: tf.Tensor) -> StepOutputs:
            del number
            return step(state, inputs)._replace(record=tf.zeros([]))

        return self._loop(run, state, count, stacked, [])[:-1]

    def _traced_armed(
        self, state: State, count: tf.Tensor, stacked: StepInputs, fault: Operands
    ) -> tuple:
        """Build a block with sites; it returns the records too."""
        step = self._session.program.armed_step

        def run(state: State, inputs: StepInputs, number: tf.Tensor) -> StepOutputs:
            own = fault._replace(step=fault.step + tf.cast(number, tf.int64))
            return step(state, inputs, own)

        is_unit = isinstance(fault, UnitOperands)
        shape = unit_probe().shape if is_unit else record_shape(fault.words)
        return self._loop(run, state, count, stacked, shape)

    def _loop(
        self,
        run: Callable[[State, StepInputs, tf.Tensor], StepOutputs],
        state: State,
        count: tf.Tensor,
        stacked: StepInputs,
        record: Sequence[int],
    ) -> tuple:
        """Build a loop over steps that ends at a loss that is not finite."""

        def goes_on(step: tf.Tensor, _: State, losses: tf.Tensor, *__: tf.Tensor):
            is_finite = tf.reduce_all(tf.math.is_finite(losses))
            return tf.logical_and(step < count, is_finite)

        def body(step: tf.Tensor, state: State, *noted: tf.Tensor):
            one = tf.nest.map_structure(lambda stack: stack[step], stacked)
            found = run(state, one, step)
            new = found.loss, found.correct, found.record
            return (
                step + 1,
                found.state,
                *(
                    tf.tensor_scatter_nd_update(all_steps, [[step]], [one_step])
                    for all_steps, one_step in zip(noted, new, strict=True)
                ),
            )

        begin = (
            tf.constant(0),
            state,
            tf.zeros([self.size], self._session.program.workload.dtype),
            tf.zeros([self.size], tf.int64),
            tf.zeros([self.size, *record]),
        )
        step, state, *noted = tf.while_loop(goes_on, body, begin, parallel_iterations=1)
        return state, step, *noted
