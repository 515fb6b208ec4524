# SPDX-License-Identifier: Apache-2.0
"""Several clean steps in one call: the device never waits for the host.

Loss, accuracy and whether the loss is finite are gathered on the device and read once
for a block, and the next block's batches are made while one runs.
"""

import concurrent.futures
import dataclasses

import numpy as np
import tensorflow as tf

from tpufi.training.program import Program
from tpufi.training.session import Session
from tpufi.training.state import State
from tpufi.training.step import StepInputs


@dataclasses.dataclass(frozen=True, eq=False)
class BlockResult:
    """What a block returns to the host.

    Args:
      state: after its last step.
      losses: mean loss of each step that was run; only the last may be not finite.
      accuracies: share of correct classifications of each.
    """

    state: State
    losses: tuple[float, ...]
    accuracies: tuple[float, ...]


class Blocks:
    """Runs steps of a session in blocks; each has the bits of single steps.

    Under XLA the loop is another program than the step and may round differently, so
    blocks are for graph mode.

    Args:
      session: its program is traced once more, as a loop.
      size: most steps of a block, >= 1.
    """

    def __init__(self, session: Session, size: int = 8):
        self.size = size
        self._session = session
        self._block = tf.function(self._traced, autograph=False)
        self._maker = concurrent.futures.ThreadPoolExecutor(1)
        self._ahead: tuple[range, concurrent.futures.Future] | None = None

    @staticmethod
    def serve(session: Session) -> bool:
        """Tell whether a session's steps can be run in blocks."""
        return isinstance(session.program, Program) and not session.program.compiled

    def run(self, state: State, first: int, count: int, then: int = 0) -> BlockResult:
        """Run steps until one has a loss that is not finite.

        Args:
          state: before step `first`; it stays valid.
          first: steps since the start of training.
          count: steps to run, 1 to `size`.
          then: steps of the block that will follow; their batches are made meanwhile.
        """
        steps = range(first, first + count)
        stacked = self._made(steps)
        self._ahead = None
        if then:
            following = range(steps.stop, steps.stop + then)
            self._ahead = following, self._maker.submit(self._stacked, following)
        with self._session.program.running():
            state, run, losses, correct = self._block(
                state,
                tf.constant(count),
                tf.nest.map_structure(tf.constant, stacked),
            )
        run = int(run)
        labels = stacked.labels[0].size
        accuracies = (correct.numpy()[:run] / labels).tolist()
        return BlockResult(
            state, tuple(losses.numpy()[:run].tolist()), tuple(accuracies)
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

    def _traced(
        self, state: State, count: tf.Tensor, stacked: StepInputs
    ) -> tuple[State, tf.Tensor, tf.Tensor, tf.Tensor]:
        program = self._session.program

        def goes_on(step: tf.Tensor, _: State, losses: tf.Tensor, __: tf.Tensor):
            is_finite = tf.reduce_all(tf.math.is_finite(losses))
            return tf.logical_and(step < count, is_finite)

        def body(step: tf.Tensor, state: State, losses: tf.Tensor, correct: tf.Tensor):
            one = tf.nest.map_structure(lambda stack: stack[step], stacked)
            state, loss, right, _ = program.clean_step(state, one)
            return (
                step + 1,
                state,
                tf.tensor_scatter_nd_update(losses, [[step]], [loss]),
                tf.tensor_scatter_nd_update(correct, [[step]], [right]),
            )

        losses = tf.zeros([self.size], program.workload.dtype)
        correct = tf.zeros([self.size], tf.int64)
        begin = (tf.constant(0), state, losses, correct)
        step, state, losses, correct = tf.while_loop(
            goes_on, body, begin, parallel_iterations=1
        )
        return state, step, losses, correct
