# SPDX-License-Identifier: Apache-2.0
"""Several steps without a fault in one call: the device never waits for the host.

Loss, accuracy and whether the loss is finite are gathered on the device and read once
for a block, and the next block's batches are made while one runs.
"""

import concurrent.futures
import dataclasses
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tpufi.descriptor import disarmed
from tpufi.training.determinism import exact_arithmetic
from tpufi.training.program import Program
from tpufi.training.session import Session
from tpufi.training.state import State


class _StepInput(NamedTuple):
    """What a step reads but the state and the fault, as `traced_step` takes it."""

    images: np.ndarray
    labels: np.ndarray
    keys: np.ndarray
    rate: np.ndarray


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

    def run(self, state: State, first: int, count: int) -> BlockResult:
        """Run steps until one has a loss that is not finite.

        Args:
          state: before step `first`; it stays valid.
          first: steps since the start of training.
          count: steps to run, 1 to `size`.
        """
        steps = range(first, first + count)
        stacked = self._made(steps)
        # Whoever runs blocks mostly goes on with the next one.
        following = range(steps.stop, steps.stop + count)
        self._ahead = following, self._maker.submit(self._stacked, following)
        program = self._session.program
        with exact_arithmetic():
            state, run, losses, correct = self._block(
                state,
                tf.constant(count),
                tf.nest.map_structure(tf.constant, stacked),
                tf.nest.map_structure(tf.constant, program.operands(disarmed())),
            )
        run = int(run)
        labels = stacked.labels[0].size
        accuracies = (correct.numpy()[:run] / labels).tolist()
        return BlockResult(
            state, tuple(losses.numpy()[:run].tolist()), tuple(accuracies)
        )

    def _made(self, steps: range) -> _StepInput:
        if self._ahead is not None and self._ahead[0] == steps:
            return self._ahead[1].result()
        return self._stacked(steps)

    def _stacked(self, steps: range) -> _StepInput:
        """Return the inputs of the steps one behind the other, filled up to `size`."""
        inputs = [
            _StepInput(batch.images, batch.labels, keys, np.float32(rate))
            for batch, keys, rate in map(self._session.inputs, steps)
        ]
        inputs += inputs[-1:] * (self.size - len(inputs))
        return _StepInput(*map(np.stack, zip(*inputs, strict=True)))

    def _traced(
        self, state: State, count: tf.Tensor, stacked: _StepInput, operands: tuple
    ) -> tuple[State, tf.Tensor, tf.Tensor, tf.Tensor]:
        program = self._session.program

        def goes_on(step: tf.Tensor, _: State, losses: tf.Tensor, __: tf.Tensor):
            is_finite = tf.reduce_all(tf.math.is_finite(losses))
            return tf.logical_and(step < count, is_finite)

        def body(step: tf.Tensor, state: State, losses: tf.Tensor, correct: tf.Tensor):
            one = tf.nest.map_structure(lambda stack: stack[step], stacked)
            state, loss, right, _ = program.traced_step(state, *one, *operands)
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
