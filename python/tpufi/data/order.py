# SPDX-License-Identifier: Apache-2.0
"""Which training samples a step takes: a pure function of (seed, epoch, step).

An epoch has ceil(size / batch) full batches. The samples beyond one pass over the data
come from a second, differently shuffled pass of the same epoch, as in the artefact
(shuffle, repeat, batch: 50,176 samples in 49 steps of 1024 from 50,000).
"""

import numpy as np

from tpufi.errors import InputError
from tpufi.random import derive, words


def steps_per_epoch(batch: int, size: int) -> int:
    """Return ceil(size / batch).

    Args:
      batch: samples of one step, over all replicas.
      size: samples of the training set.

    Raises:
      ValueError: one of them is not positive.
    """
    if batch < 1 or size < 1:
        raise ValueError(f"batch {batch} and size {size} must be positive")
    return -(-size // batch)


def epoch_indices(seed: int, epoch: int, batch: int, size: int) -> np.ndarray:
    """Return the samples of a whole epoch in the order in which its steps take them.

    A pass is the stable order of one 64-bit word for each sample, from the stream
    ("order", epoch, pass).

    Args:
      seed: seed of the run.
      epoch: epoch, from 0.
      batch: samples of one step, over all replicas.
      size: samples of the training set.

    Returns:
      int64 array (steps * batch,) of indices below `size`.
    """
    total = steps_per_epoch(batch, size) * batch
    passes = [
        np.argsort(words(derive(seed, "order", epoch, number), 0, size), kind="stable")
        for number in range(-(-total // size))
    ]
    return np.concatenate(passes)[:total].astype(np.int64, copy=False)


def batch_indices(
    seed: int, epoch: int, step: int, batch: int, size: int
) -> np.ndarray:
    """Return the samples of one step; any step can be entered directly.

    Args:
      seed: seed of the run.
      epoch: epoch, from 0.
      step: step in the epoch, from 0.
      batch: samples of one step, over all replicas.
      size: samples of the training set.

    Returns:
      int64 array (batch,) of indices below `size`.

    Raises:
      InputError: the epoch has no such step.
    """
    check_step(step, steps_per_epoch(batch, size))
    return epoch_indices(seed, epoch, batch, size)[step * batch : (step + 1) * batch]


def check_step(step: int, steps: int) -> None:
    """Refuse a step that an epoch of `steps` steps does not have."""
    if not 0 <= step < steps:
        raise InputError(
            f"step {step} is not in the epoch; expected 0 to {steps - 1} with this "
            "data set and batch; choose a step within it"
        )
