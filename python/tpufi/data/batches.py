# SPDX-License-Identifier: Apache-2.0
"""The batches of a run, split over replicas; any step can be entered directly.

An epoch has ceil(size / batch) full batches. The samples beyond one pass over the data
come from a second, differently shuffled pass of the same epoch, as in the artefact
(shuffle, repeat, batch: 50,176 samples in 49 steps of 1024 from 50,000).
"""

from typing import NamedTuple, Protocol

import numpy as np

from tpufi.errors import InputError
from tpufi.random import derive, words

Pair = tuple[np.ndarray, np.ndarray]


class Examples(Protocol):
    """Examples with their labels, for training and for the test.

    Fields:
      name: how records call the data set.
      digest: SHA-256 of the content, in hex.
      example_shape: shape of one example, e.g. (32, 32, 3) or (context,).
      example_dtype: `float32`, or `int32` for tokens.
      train_labels: integers (n,), or (n, k) if an example has k labels.
      test_labels: integers (m,) or (m, k).
    """

    name: str
    digest: str
    example_shape: tuple[int, ...]
    example_dtype: str
    train_labels: np.ndarray
    test_labels: np.ndarray

    def train_examples(
        self, indices: np.ndarray, seed: int, epoch: int, step: int
    ) -> Pair:
        """Return the examples of a training step as the model reads them.

        Args:
          indices: int64 (replicas, per_replica), training samples.
          seed: seed of the run.
          epoch: epoch, from 0.
          step: step in the epoch, from 0.

        Returns:
          The examples, (replicas, per_replica, *example_shape), and their int32 labels,
          both new arrays; a pure function of the arguments.
        """

    def test_examples(self, chosen: slice) -> Pair:
        """Return the examples of part of the test set, and their int32 labels."""


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

    A pass over the data is the stable order of one 64-bit word for each sample, from
    the stream ("order", epoch, pass). An epoch takes as many passes as its steps need,
    the last one in part.

    Args:
      dataset: the data.
      seed: seed of the run, 0 <= seed < 2**64.
      replicas: data-parallel replicas; replica r has the r-th consecutive part of a
        batch.
      per_replica: training examples of a replica in a step.
      test_per_replica: test examples of a replica in a step.
      steps: training steps of an epoch, >= 1; None: one pass over the data.

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
        steps: int | None = None,
    ):
        if min(replicas, per_replica, test_per_replica) < 1:
            raise ValueError("replicas and examples per replica must be positive")
        if steps is not None and steps < 1:
            raise ValueError(f"steps {steps} of an epoch must be positive")
        self.dataset = dataset
        self.seed = seed
        self.replicas = replicas
        self.per_replica = per_replica
        self.test_per_replica = test_per_replica
        self._steps = steps
        # The passes that were used last; sorting them for each step would be slow.
        self._passes: dict[tuple[int, int], np.ndarray] = {}

    @property
    def steps(self) -> int:
        """Training steps of an epoch."""
        if self._steps is not None:
            return self._steps
        return -(-len(self.dataset.train_labels) // (self.replicas * self.per_replica))

    @property
    def test_steps(self) -> int:
        """Steps of one pass over the test set."""
        batch = self.replicas * self.test_per_replica
        return -(-len(self.dataset.test_labels) // batch)

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
        batch, size = self.replicas * self.per_replica, len(self.dataset.train_labels)
        begin, end = step * batch, (step + 1) * batch
        first = begin // size
        self._passes = {
            (epoch, number): self._pass(epoch, number)
            for number in range(first, -(-end // size))
        }
        samples = np.concatenate(list(self._passes.values()))
        chosen = samples[begin - first * size : end - first * size]
        return chosen.reshape(self.replicas, self.per_replica)

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

    def _pass(self, epoch: int, number: int) -> np.ndarray:
        known = self._passes.get((epoch, number))
        if known is not None:
            return known
        stream = derive(self.seed, "order", epoch, number)
        drawn = words(stream, 0, len(self.dataset.train_labels))
        return np.argsort(drawn, kind="stable").astype(np.int64, copy=False)


def check_step(step: int, steps: int) -> None:
    """Refuse a step that an epoch of `steps` steps does not have."""
    if not 0 <= step < steps:
        raise InputError(
            f"step {step} is not in the epoch; expected 0 to {steps - 1} with this "
            "data set and batch; choose a step within it"
        )
