# SPDX-License-Identifier: Apache-2.0
"""The order of the training samples: a fair permutation of each pass."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.chi_square import excess
from tpufi.data import Batches
from tpufi.errors import InputError

SEEDS = st.integers(0, 2**64 - 1)
EPOCHS = st.integers(0, 2**31 - 1)
FAST = settings(derandomize=True, deadline=None, max_examples=50)


@dataclasses.dataclass(frozen=True)
class Size:
    """As much of a data set as the order of its samples depends on."""

    size: int

    @property
    def train_labels(self) -> range:
        return range(self.size)


def batches_of(seed: int, batch: int, size: int) -> Batches:
    return Batches(Size(size), seed, replicas=1, per_replica=batch)


def epoch_indices(seed: int, epoch: int, batch: int, size: int) -> np.ndarray:
    batches = batches_of(seed, batch, size)
    steps = [batches.train_indices(epoch, step)[0] for step in range(batches.steps)]
    return np.concatenate(steps)


@FAST
@given(SEEDS, EPOCHS, st.integers(1, 70), st.integers(1, 200))
def test_every_sample_appears_once_in_a_pass(seed, epoch, batch, size):
    indices = epoch_indices(seed, epoch, batch, size)
    steps = batches_of(seed, batch, size).steps
    assert indices.dtype == np.int64 and len(indices) == steps * batch
    assert (steps - 1) * batch < size <= steps * batch
    for start in range(0, len(indices), size):
        part = indices[start : start + size]
        assert len(set(part.tolist())) == len(part)
        assert part.min() >= 0 and part.max() < size


@FAST
@given(SEEDS, EPOCHS, st.integers(1, 70), st.integers(1, 200), st.data())
def test_a_step_entered_directly_is_the_step_of_the_epoch(
    seed, epoch, batch, size, data
):
    step = data.draw(st.integers(0, batches_of(seed, batch, size).steps - 1))
    walked = epoch_indices(seed, epoch, batch, size)[step * batch : (step + 1) * batch]
    direct = batches_of(seed, batch, size).train_indices(epoch, step)[0]
    assert direct.tolist() == walked.tolist()


def test_cifar_has_49_steps_and_176_samples_of_a_second_pass():
    indices = epoch_indices(123, 0, 1024, 50_000)
    assert len(indices) == 49 * 1024 == 50_000 + 176
    assert sorted(indices[:50_000].tolist()) == list(range(50_000))
    assert indices[50_000:].tolist() != indices[:176].tolist()
    assert len(set(indices[50_000:].tolist())) == 176


def test_seeds_and_epochs_give_different_orders():
    orders = {
        epoch_indices(seed, epoch, 64, 500).tobytes()
        for seed in range(10)
        for epoch in range(10)
    }
    assert len(orders) == 100


def test_a_sample_is_equally_likely_at_every_place():
    counts = np.zeros((20, 20))
    for epoch in range(4000):
        counts[np.arange(20), epoch_indices(9, epoch, 20, 20)] += 1
    # Fixed seed; a fair order exceeds 5 with probability below 1e-5.
    assert abs(excess(counts)) < 5


def test_a_step_beyond_the_epoch_is_refused():
    with pytest.raises(
        InputError, match="step 49 is not in the epoch; expected 0 to 48"
    ):
        batches_of(1, 1024, 50_000).train_indices(0, 49)
    with pytest.raises(InputError, match="step -1 "):
        batches_of(1, 1024, 50_000).train_indices(0, -1)
    with pytest.raises(ValueError, match="positive"):
        batches_of(1, 0, 50_000)
