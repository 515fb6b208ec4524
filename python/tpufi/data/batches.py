# SPDX-License-Identifier: Apache-2.0
"""The batches of a run, split over replicas; any step can be entered directly."""

from typing import NamedTuple

import numpy as np

from tpufi.data.examples import Examples
from tpufi.data.order import check_step, epoch_indices, steps_per_epoch


class Batch(NamedTuple):
    """The input of one step.

    Fields:
      images: the examples: float32 (replicas, per_replica, 32, 32, 3), standardised; of
        a text, tokens, int32 (replicas, per_replica, context).
      labels: int32 (replicas, per_replica), 0 to 9; of a text (replicas, per_replica,
        context), 0 to 255.
      present: bool (replicas, per_replica); False marks the zeros that fill up the last
        test batch, which no average may count.
    """

    images: np.ndarray
    labels: np.ndarray
    present: np.ndarray


class Batches:
    """The training and test batches of one run, a pure function of (seed, epoch, step).

    Args:
      dataset: the data.
      seed: seed of the run, 0 <= seed < 2**64.
      replicas: data-parallel replicas; replica r has the r-th consecutive part of a
        batch.
      per_replica: training examples of a replica in a step.
      test_per_replica: test examples of a replica in a step.

    Raises:
      ValueError: a number is not positive.
    """

    def __init__(
        self,
        dataset: Examples,
        seed: int,
        replicas: int = 8,
        per_replica: int = 128,
        test_per_replica: int = 125,
    ):
        if min(replicas, per_replica, test_per_replica) < 1:
            raise ValueError("replicas and examples per replica must be positive")
        self.dataset = dataset
        self.seed = seed
        self.replicas = replicas
        self.per_replica = per_replica
        self.test_per_replica = test_per_replica
        # The order of the epoch used last; sorting it anew for each step would be slow.
        self._order: tuple[int, np.ndarray] | None = None

    @property
    def steps(self) -> int:
        """Training steps of an epoch."""
        return steps_per_epoch(
            self.replicas * self.per_replica, len(self.dataset.train_labels)
        )

    @property
    def test_steps(self) -> int:
        """Steps of one pass over the test set."""
        return steps_per_epoch(
            self.replicas * self.test_per_replica, len(self.dataset.test_labels)
        )

    def train(self, epoch: int, step: int) -> Batch:
        """Return the augmented training batch of one step.

        Args:
          epoch: epoch, from 0.
          step: step in the epoch, from 0.

        Returns:
          The batch; every example is present.

        Raises:
          InputError: the epoch has no such step.
        """
        indices = self.train_indices(epoch, step)
        examples = self.dataset.train_examples(indices, self.seed, epoch, step)
        return Batch(*examples, np.ones(indices.shape, bool))

    def train_indices(self, epoch: int, step: int) -> np.ndarray:
        """Return the training samples of one step, int64 (replicas, per_replica)."""
        check_step(step, self.steps)
        batch = self.replicas * self.per_replica
        if self._order is None or self._order[0] != epoch:
            size = len(self.dataset.train_labels)
            self._order = (epoch, epoch_indices(self.seed, epoch, batch, size))
        indices = self._order[1][step * batch : (step + 1) * batch]
        return indices.reshape(self.replicas, self.per_replica)

    def test(self, step: int) -> Batch:
        """Return a test batch: in the order of the data set, not augmented.

        Args:
          step: step of the pass, from 0.

        Returns:
          The batch; the last one may be filled up with absent examples.

        Raises:
          InputError: the pass has no such step.
        """
        check_step(step, self.test_steps)
        batch = self.replicas * self.test_per_replica
        chosen = slice(step * batch, (step + 1) * batch)
        present = np.arange(batch) < len(self.dataset.test_labels[chosen])
        split = (self.replicas, self.test_per_replica)

        def filled_up(some: np.ndarray) -> np.ndarray:
            whole = np.zeros((batch, *some.shape[1:]), some.dtype)
            whole[present] = some
            return whole.reshape(*split, *some.shape[1:])

        examples = self.dataset.test_examples(chosen)
        return Batch(*map(filled_up, examples), present.reshape(split))
