# SPDX-License-Identifier: Apache-2.0
"""Epochs of a fixed number of steps, whatever the size of the data set."""

import numpy as np

from tpufi.data import Batches, Examples
from tpufi.data.order import check_step
from tpufi.random import derive, words


class FixedEpochs(Batches):
    """The batches of a run whose epochs have a given number of steps.

    The samples of an epoch are those of `Batches`: shuffled passes over the data, one
    after the other, from the streams ("order", epoch, pass). Only the number of passes
    differs, down to a part of one. With the number of steps that `Batches` has anyway
    both give the same batches.

    Args:
      dataset: the data.
      seed: seed of the run, 0 <= seed < 2**64.
      replicas: data-parallel replicas.
      per_replica: training images of a replica in a step.
      steps: steps of an epoch, >= 1.
    """

    def __init__(
        self, dataset: Examples, seed: int, replicas: int, per_replica: int, steps: int
    ):
        super().__init__(dataset, seed, replicas, per_replica)
        self._steps = steps

    @property
    def steps(self) -> int:
        return self._steps

    def train_indices(self, epoch: int, step: int) -> np.ndarray:
        check_step(step, self.steps)
        batch = self.replicas * self.per_replica
        size = len(self.dataset.train_labels)
        begin, end = step * batch, (step + 1) * batch
        first = begin // size
        passes = [
            np.argsort(
                words(derive(self.seed, "order", epoch, i), 0, size), kind="stable"
            )
            for i in range(first, -(-end // size))
        ]
        samples = np.concatenate(passes).astype(np.int64, copy=False)
        chosen = samples[begin - first * size : end - first * size]
        return chosen.reshape(self.replicas, self.per_replica)
