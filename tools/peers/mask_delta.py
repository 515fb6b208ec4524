# SPDX-License-Identifier: Apache-2.0
"""Injects as the ISCA'23 artefact does: fetch, mask and delta constants, a new trace.

At its best: the fetching program is traced once per site and reused, only the faulty
tensor comes to the host, positions and values are numpy arrays, mask and delta are of
the element type, and only the faulty layer takes its reference form.
"""

import numpy as np
import tensorflow as tf

from peers.context import PeerContext
from peers.step import traced_step
from tpufi.element import from_words
from tpufi.training import State
from tpufi.training.determinism import exact_arithmetic
from tpufi.workload import Workload


class MaskDeltaInjector:
    """Two passes and a trace for each injection.

    Args:
      workload: what is trained.
    """

    def __init__(self, workload: Workload):
        self._workload = workload
        self._fetchers: dict[str, tf.types.experimental.GenericFunction] = {}
        self.traces = 0
        self.host_bytes = 0  # What has crossed the host boundary, both ways.

    def step(
        self, state: State, inputs: tuple, site: str, positions: np.ndarray, words
    ) -> tuple[State, tf.Tensor]:
        """Run the step with elements of one site replaced.

        Args:
          state: the state before it.
          inputs: (examples, labels, seed, rate) tensors.
          site: name of the faulty site.
          positions: flat indices in the site's layout.
          words: the new bits.
        """
        golden = self._fetch(state, inputs, site)
        mask = np.ones(golden.shape, golden.dtype)
        delta = np.zeros(golden.shape, golden.dtype)
        mask.flat[positions] = 0
        delta.flat[positions] = from_words(words, golden.dtype.name)
        self.host_bytes += mask.nbytes + delta.nbytes

        def change(_: str, x: tf.Tensor) -> tf.Tensor:
            return x * tf.constant(mask) + tf.constant(delta)

        context = PeerContext(wanted=lambda name: name == site, change=change)

        def traced(state: State, *inputs: tf.Tensor) -> tuple[State, tf.Tensor]:
            self.traces += 1
            return traced_step(self._workload, context, state, *inputs)

        with exact_arithmetic():
            return tf.function(traced, autograph=False)(state, *inputs)

    def _fetch(self, state: State, inputs: tuple, site: str) -> np.ndarray:
        if site not in self._fetchers:

            def traced(state: State, *inputs: tf.Tensor) -> tf.Tensor:
                self.traces += 1
                found = []

                def change(_: str, x: tf.Tensor) -> tf.Tensor:
                    found.append(x)
                    return x

                context = PeerContext(wanted=lambda name: name == site, change=change)
                traced_step(self._workload, context, state, *inputs)
                return found[0]

            self._fetchers[site] = tf.function(traced, autograph=False)
        with exact_arithmetic():
            tensor = self._fetchers[site](state, *inputs).numpy()
        self.host_bytes += tensor.nbytes
        return tensor
