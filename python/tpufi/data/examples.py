# SPDX-License-Identifier: Apache-2.0
"""What batches need of a data set, whatever its examples are."""

from typing import Protocol

import numpy as np

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
