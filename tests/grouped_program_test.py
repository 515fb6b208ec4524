# SPDX-License-Identifier: Apache-2.0
"""Programs with a branch for each group of sites do what lean programs do."""

import numpy as np
import pytest

from tests.tiny_workload import TINY, tiny_batch
from tpufi.descriptor import Descriptor, read_record, replacing
from tpufi.errors import InputError
from tpufi.layers.site_groups import halved, site_groups
from tpufi.training import Program, initial_state, same_state

REPLICAS, PER_REPLICA, RATE, GROUPS = 2, 4, 0.01, 3
WORD = np.array([0x40490FDB], np.uint64)


@pytest.fixture(scope="module")
def start() -> tuple:
    batch, keys = tiny_batch(REPLICAS, PER_REPLICA)
    return initial_state(TINY, 1), batch, keys, RATE


def _program(lowering: str, jit_compile: bool = False, **options) -> Program:
    return Program(
        TINY,
        REPLICAS,
        PER_REPLICA,
        lowering=lowering,
        jit_compile=jit_compile,
        **options,
    )


def _fault(program: Program, site_id: int, replica: int = 0) -> Descriptor:
    """Return a fault in the middle of a site, at positions that memory holds."""
    site = program.table[site_id]
    first = np.arange(site.size // 2, site.size)
    for layer, shape in TINY.layers:
        if layer.name == site.layer:
            layouts = layer.textbook(shape, PER_REPLICA)
            if layout := layouts.get((site.direction, site.operand)):
                first = first[layout.holds(first)]
    return replacing(site_id, replica, first[:1], WORD)


def _check_same(one: Program, other: Program, start: tuple, ids) -> None:
    golden = one.step(*start)
    assert same_state(golden.state, other.step(*start).state)
    changed = 0
    for site_id in ids:
        fault = _fault(one, site_id)
        result, expected = one.step(*start, fault), other.step(*start, fault)
        name = one.table[site_id].name
        assert same_state(result.state, expected.state), name
        np.testing.assert_array_equal(result.loss, expected.loss, name)
        (struck,), (reference,) = map(read_record, (result.record, expected.record))
        assert struck.count == reference.count == 1, name
        changed += not same_state(result.state, golden.state)
    assert changed > len(ids) // 2
    assert one.traces == other.traces == 1


def test_every_site_of_every_group_does_the_same_by_bits(start):
    grouped = _program("grouped", groups=GROUPS)
    _check_same(grouped, _program("lean"), start, range(0, len(grouped.table), 5))


@pytest.mark.slow
def test_compiled_every_site_does_the_same_by_bits(start):
    grouped = _program("grouped", jit_compile=True, groups=GROUPS)
    lean = _program("lean", jit_compile=True)
    _check_same(grouped, lean, start, range(0, len(grouped.table), 5))


def test_faults_in_two_groups_are_refused(start):
    grouped = _program("grouped", groups=GROUPS)
    rows = [_fault(grouped, site_id) for site_id in (0, len(grouped.table) - 1)]
    both = Descriptor(
        np.concatenate([row.faults for row in rows]),
        np.concatenate([row.words for row in rows]),
    )
    with pytest.raises(InputError, match="are in two groups of this program"):
        grouped.step(*start, both)


def test_an_unknown_lowering_is_refused():
    with pytest.raises(InputError, match="known: branch, select, lean, grouped"):
        _program("fast")


@pytest.mark.parametrize("count", [1, 2, 7, 16, 10_000])
def test_groups_are_all_sites_in_order(count):
    table = TINY.sites(PER_REPLICA)
    groups = site_groups(table, count)
    assert [i for ids in groups for i in ids] == list(range(len(table)))
    assert len(groups) == min(count, len(table))
    assert all(groups)


def test_groups_begin_where_they_are_told_to():
    table = TINY.sites(PER_REPLICA)
    groups = site_groups(table, [0, 1, 30])
    assert [ids[0] for ids in groups] == [0, 1, 30]
    assert [i for ids in groups for i in ids] == list(range(len(table)))
    assert _program("grouped", groups=[0, 1, 30]).lowering == "grouped"


@pytest.mark.parametrize("first", [[], [1], [0, 5, 5], [0, 9, 3], [0, 10_000], [-1, 0]])
def test_groups_that_begin_nowhere_are_refused(first):
    with pytest.raises(InputError, match="give increasing numbers from 0 to"):
        site_groups(TINY.sites(PER_REPLICA), first)


@pytest.mark.parametrize("ids", [(0, 1), tuple(range(20, 90))])
def test_a_group_is_halved(ids):
    table = TINY.sites(PER_REPLICA)
    first, second = halved(table, ids)
    assert first and second and first + second == ids
