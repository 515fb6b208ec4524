# SPDX-License-Identifier: Apache-2.0
"""Injects as TensorFI does: the result of every operation passes through Python."""

import numpy as np
import tensorflow as tf

from peers.context import PeerContext
from peers.step import traced_step
from tpufi.element import from_words
from tpufi.training import State
from tpufi.training.determinism import exact_arithmetic
from tpufi.workload import Workload


class HostCallbackInjector:
    """One trace; a callback behind every operation decides whether to inject a fault.

    Args:
      workload: what is trained.
    """

    def __init__(self, workload: Workload):
        self.traces = 0
        self.host_bytes = 0
        self._target: tuple[str, np.ndarray, np.ndarray] | None = None
        context = PeerContext(
            wanted=lambda name: name.endswith("output"), change=self._through_host
        )

        def traced(state: State, *inputs: tf.Tensor) -> tuple[State, tf.Tensor]:
            self.traces += 1
            return traced_step(workload, context, state, *inputs)

        self._run = tf.function(traced, autograph=False)

    def step(
        self,
        state: State,
        inputs: tuple,
        site: str | None = None,
        positions: np.ndarray | None = None,
        words: np.ndarray | None = None,
    ) -> tuple[State, tf.Tensor]:
        """Run the step; without a site nothing is injected."""
        self._target = site and (site, positions, words)
        with exact_arithmetic():
            return self._run(state, *inputs)

    def _through_host(self, name: str, x: tf.Tensor) -> tf.Tensor:
        def callback(value: np.ndarray) -> np.ndarray:
            self.host_bytes += 2 * value.nbytes
            if self._target is None or self._target[0] != name:
                return value
            _, positions, words = self._target
            faulty = value.copy()
            faulty.flat[positions] = from_words(words, value.dtype.name)
            return faulty

        y = tf.numpy_function(callback, [x], x.dtype)
        y.set_shape(x.shape)
        return y
