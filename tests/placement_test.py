# SPDX-License-Identifier: Apache-2.0
"""Faults as the host places them for lean programs."""

import numpy as np
import pytest

from tests.tiny_workload import TINY
from tpufi.descriptor import EVERY_REPLICA, disarmed, read_record, replacing, rule
from tpufi.layers.aims import period
from tpufi.layers.placement import NO_GROUP, Placement
from tpufi.layers.site_groups import site_groups

PER_REPLICA, CAPACITY = 4, 64
TABLE = TINY.sites(PER_REPLICA)
PLACEMENT = Placement(TABLE, site_groups(TABLE, 5))


@pytest.mark.parametrize(
    "shape, size",
    [
        ((4, 8, 8, 64), 64),
        ((4, 8, 8, 128), 128),
        ((4, 8, 8, 3), 192),
        ((4, 16, 3, 10), 1920),
        ((10,), 10),
        ((5, 5, 3), 75),
        ((), 1),
    ],
)
def test_words_recur_after_a_period(shape, size):
    assert period(shape, CAPACITY) == size


@pytest.mark.parametrize("name", ["conv1/forward/input", "fc/forward/weight"])
@pytest.mark.parametrize("share", [0, 0.4, 1])
def test_each_struck_element_finds_its_word(name, share):
    site_id = TABLE.id_of(name)
    size = TABLE[site_id].size
    count = min(50, size)
    positions = int((size - count) * share) + np.arange(count)
    words = np.random.default_rng(0).integers(0, 1 << 32, count, np.uint64)
    placed = PLACEMENT.place(replacing(site_id, 1, positions, words))
    np.testing.assert_array_equal(placed.words[0][positions % CAPACITY], words)
    base, bank = PLACEMENT.numbers[site_id]
    assert placed.starts[0] == (base + positions[0]) % (1 << 32)
    assert placed.counts[0].tolist() == [
        count if b == bank else 0 for b in range(placed.counts.shape[1])
    ]
    assert placed.targets[0] == 1
    assert site_id in PLACEMENT.groups[int(placed.group) - 1]


def test_a_repeated_word_is_everywhere():
    fault = rule(3, EVERY_REPLICA, 5, 100, keep=0, word=7)
    placed = PLACEMENT.place(fault)
    assert (placed.words == 7).all()
    assert placed.counts.max() == 100


@pytest.mark.parametrize("direction", ["forward", "update"])
def test_the_record_says_where_and_how_many(direction):
    site_id = next(i for i, site in enumerate(TABLE) if site.direction == direction)
    count = TABLE[site_id].size
    placed = PLACEMENT.place(rule(site_id, 0, 0, count, keep=0, word=1))
    of_passes, of_update = placed.record[0]
    struck, spared = of_passes, of_update
    if direction == "update":
        struck, spared = spared, struck
    assert read_record(struck[None, None])[0].count == count
    assert not spared.any()


def test_no_fault_is_in_no_group():
    placed = PLACEMENT.place(disarmed())
    assert placed.group == NO_GROUP
    assert not placed.counts.any()


def test_a_large_count_survives_the_record():
    count = (1 << 17) + 3
    fault = rule(0, 0, 0, count, keep=0, word=1)
    assert read_record(PLACEMENT.place(fault).record[0, :1][None])[0].count == count
