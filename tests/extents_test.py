# SPDX-License-Identifier: Apache-2.0
"""Elements of faults: every position can be drawn, with the right probability."""

import collections

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chi_square import assert_distributed
from tpufi.errors import InputError
from tpufi.fault import Strided
from tpufi.faults.affected_outputs import Operation
from tpufi.faults.draws import Draws
from tpufi.faults.elements import (
    Channel,
    Column,
    Groups,
    Pair,
    Row,
    Runs,
    SystolicArray,
    Whole,
)
from tpufi.site_table import Site


def site(*shape, direction="forward", operand="output") -> Site:
    return Site("conv", direction, operand, shape)


def product(m, n) -> Operation:
    return Operation((m, 1, 1, 3), (1, 1, 3, n), (m, 1, 1, n))


def drawn(extent, where, count, operation=None) -> list[tuple[int, ...]]:
    found = []
    for number in range(count):
        positions = extent.draw(Draws(11, number), where, operation)
        found.append(tuple(positions.indices().tolist()))
    return found


def groups_by_hand(size, n, largest):
    """Count the equally likely (start, number of groups) pairs that give a set."""
    result = collections.Counter()
    for start in range(0, size, n):
        for groups in range(1, largest + 1):
            result[tuple(range(start, min(start + groups * n, size)))] += 1
    return result


@pytest.mark.parametrize("largest", [1, 3])
@pytest.mark.parametrize(
    ("size", "n"), [(12, 4), (10, 4), (3, 4), (1, 16), (17, 16), (16, 16), (5, 1)]
)
def test_every_group_is_drawn_the_last_and_the_short_one_included(size, n, largest):
    expected = groups_by_hand(size, n, largest)
    assert_distributed(drawn(Groups(n, largest), site(size), 1500), expected)


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=4),
    st.sampled_from([1, 2, 16, 64]),
    st.sampled_from([1, 1000]),
    st.integers(0, (1 << 64) - 1),
    st.integers(0, (1 << 64) - 1),
)
def test_groups_are_aligned_runs_inside_the_tensor(shape, n, largest, seed, number):
    where = site(*shape)
    positions = Groups(n, largest).draw(Draws(seed, number), where, None)
    indices = positions.indices()
    assert positions.start % n == 0
    assert np.array_equal(indices, np.arange(positions.start, indices[-1] + 1))
    assert positions.count % n == 0 or indices[-1] == where.size - 1
    assert 0 <= indices[0] and indices[-1] < where.size
    assert positions.count <= n * largest


@given(st.integers(0, 30), st.integers(1, 40), st.integers(1, 9), st.integers(0, 20))
def test_positions_are_those_of_the_formula(start, count, block, gap):
    positions = Strided(start, count, block, block + gap)
    by_hand = [
        start + (i // block) * positions.stride + i % block for i in range(count)
    ]
    assert positions.indices().tolist() == by_hand
    assert positions.last == by_hand[-1] == max(by_hand)
    assert positions.is_run == (by_hand == list(range(start, start + count)))
    assert len(set(by_hand)) == count


def image_slices(shape, take):
    flat = np.arange(np.prod(shape)).reshape(shape)
    return dict.fromkeys((tuple(np.sort(s.ravel()).tolist()) for s in take(flat)), 1)


@pytest.mark.parametrize(
    ("extent", "take"),
    [
        (Channel(), lambda x: [x[..., c] for c in range(5)]),
        (Row(), lambda x: [x[b, h] for b in range(2) for h in range(3)]),
        (Column(), lambda x: [x[b, :, w] for b in range(2) for w in range(4)]),
        (Whole(), lambda x: [x]),
    ],
)
def test_slices_are_those_numpy_takes(extent, take):
    shape = (2, 3, 4, 5)
    assert_distributed(drawn(extent, site(*shape), 400), image_slices(shape, take))


def test_a_channel_of_a_vector_is_an_element_and_of_a_scalar_the_scalar():
    assert set(drawn(Channel(), site(3), 60)) == {(0,), (1,), (2,)}
    assert set(drawn(Channel(), site(), 3)) == {(0,)}


@pytest.mark.parametrize("extent", [Row(), Column()])
@pytest.mark.parametrize(
    "where",
    [
        site(3, 3, 4, 5, operand="weight"),
        site(3, 3, 4, 5, operand="raw_weight"),
        site(3, 3, 4, 5, direction="grad_wt"),
        site(4, 5),
    ],
)
def test_only_images_have_rows_and_columns(extent, where):
    assert "no NHWC image" in extent.misfit(where, None)
    assert extent.misfit(site(2, 3, 4, 5), None) is None


def test_all_pairs_are_equally_likely_and_one_element_has_none():
    pairs = {(a, b): 1 for b in range(5) for a in range(b)}
    assert_distributed(drawn(Pair(), site(5), 600), pairs)
    assert set(drawn(Pair(), site(2), 5)) == {(0, 1)}
    assert "one element" in Pair().misfit(site(1), None)


def pattern_by_hand(dataflow, height, width, m, n):
    """Return every (PE, tile) with its results, from an m x n matrix product."""
    found = collections.Counter()
    if dataflow == "input":
        m, n = n, m  # Pixels lie along the columns of the array.
    rows = min(height, m) if dataflow == "output" else 1
    for r in range(rows):
        for c in range(min(width, n)):
            columns = range(c, n, width)
            for column in columns:
                step = height if dataflow == "output" else 1
                cells = [(row, column) for row in range(r, m, step)]
                if dataflow == "input":
                    indices = [column * m + row for row, _ in cells]
                else:
                    indices = [row * n + column for row, _ in cells]
                found[tuple(sorted(indices))] += 1 / (
                    rows * min(width, n) * len(columns)
                )
    return found


@pytest.mark.parametrize("dataflow", ["output", "weight", "input"])
@pytest.mark.parametrize(
    ("height", "width", "m", "n"),
    [(4, 4, 8, 8), (2, 3, 7, 8), (8, 8, 3, 5), (1, 1, 4, 3), (3, 2, 10, 4)],
)
def test_a_faulty_pe_touches_the_results_it_computes(dataflow, height, width, m, n):
    array = SystolicArray(dataflow, height, width)
    expected = pattern_by_hand(dataflow, height, width, m, n)
    found = drawn(array, site(m, n), 2000, product(m, n))
    assert_distributed(found, expected)
    assert set().union(*found) == set(range(m * n))


def test_an_array_needs_a_multiplication_and_a_size():
    array = SystolicArray("output")
    assert "not the output" in array.misfit(site(4, 4), None)
    assert array.misfit(site(4, 4), product(4, 4)) is None
    assert array.misfit(site(4, 4, operand="input"), product(4, 4)) is not None
    with pytest.raises(InputError, match="known: output, weight, input"):
        SystolicArray("row")
    with pytest.raises(InputError, match="0x4 has no elements"):
        SystolicArray("output", 0, 4)


@pytest.mark.parametrize(
    ("shape", "size", "period", "largest"),
    [((40,), 4, 16, 3), ((6, 10), 2, 3, 50), ((7,), 4, 9, 2), ((5, 5), 1, 1, 4)],
)
def test_runs_recur_at_one_distance_up_to_the_end(shape, size, period, largest):
    elements = int(np.prod(shape))
    expected = collections.Counter()
    for start in range(elements):
        runs = [start + period * i for i in range(largest)]
        flat = [run + j for run in runs for j in range(size)]
        expected[tuple(i for i in flat if i < elements)] += 1
    found = drawn(Runs(size, period, largest), site(*shape), 40 * elements)
    assert_distributed(found, expected)


@pytest.mark.parametrize("numbers", [(0, 1, 1), (1, 1, 0), (4, 3, 1)])
def test_runs_that_overlap_or_have_no_element_are_refused(numbers):
    with pytest.raises(InputError, match="choose at least 1 run of 1 element"):
        Runs(*numbers)
