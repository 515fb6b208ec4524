# SPDX-License-Identifier: Apache-2.0
"""The queue of a window hands out everything once, whatever happens to workers."""

import random

from hypothesis import given
from hypothesis import strategies as st

from tpufi.campaign.engine.block_queue import Block, BlockQueue


@given(
    st.integers(0, 60), st.integers(1, 7), st.integers(1, 9), st.integers(0, 1 << 32)
)
def test_every_experiment_is_done_once_or_given_up(count, workers, size, seed):
    rng = random.Random(seed)
    queue = BlockQueue(range(count), workers, size)
    cursed = {number for number in range(count) if rng.random() < 0.1}
    done, given_up = [], []
    while len(queue):
        block = queue.take(rng.randrange(workers))
        assert 1 <= len(block.numbers) <= size
        finished = []
        for number in block.numbers:
            lost = number in cursed or rng.random() < 0.05
            if not lost:
                finished.append(number)
                continue
            end = queue.give_back(block, len(finished))
            given_up += [] if end is None else [end]
            break
        done += finished
    assert sorted(done + given_up) == list(range(count))
    assert cursed <= set(given_up)


def test_a_worker_goes_forwards_through_its_part():
    queue = BlockQueue(range(12), 2, 3)
    assert [queue.take(0).numbers for _ in range(2)] == [(0, 1, 2), (3, 4, 5)]
    assert queue.take(1).numbers == (6, 7, 8)


def test_one_that_has_done_its_part_takes_half_of_the_longest():
    queue = BlockQueue(range(12), 2, 3)
    for _ in range(2):
        queue.take(0)
    assert queue.take(0).numbers == (9, 10, 11)
    assert queue.take(1).numbers == (6, 7, 8)
    assert queue.take(1) is None


def test_what_a_worker_was_lost_with_is_tried_once_more_alone():
    queue = BlockQueue(range(4), 1, 4)
    block = queue.take(0)
    assert queue.give_back(block, 1) is None
    assert queue.take(0) == Block((2, 3))
    retry = queue.take(0)
    assert retry == Block((1,), 2)
    assert queue.give_back(retry, 0) == 1
    assert len(queue) == 0
