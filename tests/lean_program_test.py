# SPDX-License-Identifier: Apache-2.0
"""Programs with lean sites do what programs with all others do."""

import numpy as np
import pytest

from tests.tiny_workload import TINY, tiny_batch
from tpufi.descriptor import EVERY_REPLICA, disarmed, read_record, replacing, rule
from tpufi.errors import InputError
from tpufi.layers.site_numbers import numbering
from tpufi.training import Program, initial_state, same_state
from tpufi.training.state import to_arrays

REPLICAS, PER_REPLICA, RATE = 2, 4, 0.01
# Different words, so that an element that got its neighbour's would show.
WORDS = np.array([0x40490FDB, 0xC0000000, 0x3F000000], np.uint64)
# The library's operand is the site's tensor, or a tensor in another order.
DIRECT = [
    "conv1/forward/input", "conv1/forward/weight", "conv1/forward/output",
    "conv1_bias/forward/input", "bn1/forward/input", "bn1/forward/variance",
    "relu1/forward/output", "block_dropout1/forward/mask", "block_conv2/forward/input",
    "block_relu2/grad_in/input", "bn1/grad_wt/bias_output", "fc/grad_in/weight",
    "block_conv2/grad_in/output", "block_conv2/grad_wt/output", "fc/grad_wt/input",
    "loss/forward/output", "block_conv2/kernel/update/first_moment",
    "bn1/gamma/update/gradient",
]  # fmt: skip
TEXTBOOK = [
    "block_conv1/grad_in/input", "block_conv2/grad_in/weight",
    "block_conv2/grad_wt/input", "block_conv1/grad_wt/weight",
]  # fmt: skip


@pytest.fixture(scope="module")
def lean() -> Program:
    return Program(TINY, REPLICAS, PER_REPLICA, lowering="lean")


@pytest.fixture(scope="module")
def full() -> Program:
    return Program(TINY, REPLICAS, PER_REPLICA)


@pytest.fixture(scope="module")
def start() -> tuple:
    batch, keys = tiny_batch(REPLICAS, PER_REPLICA)
    return initial_state(TINY, 1), batch, keys, RATE


def _fault(program: Program, name: str, replica: int = 1, first: int | None = None):
    site_id = program.table.id_of(name)
    if first is None:
        first = _stored(program, name)
    return replacing(site_id, replica, first + np.arange(len(WORDS)), WORDS)


def _stored(program: Program, name: str) -> int:
    """Return a position from which on the tensor in memory has the next elements."""
    layer_name, direction, operand = name.rsplit("/", 2)
    size = program.table[program.table.id_of(name)].size
    for layer, shape in TINY.layers:
        layouts = layer.textbook(shape, PER_REPLICA) if layer.name == layer_name else {}
        if (direction, operand) in layouts:
            held = layouts[direction, operand].holds(np.arange(size))
            runs = held[:-2] & held[1:-1] & held[2:]
            return int(np.flatnonzero(runs)[runs.sum() // 2])
    return (size - len(WORDS)) // 2


def test_the_control_without_a_fault_equals_the_program_without_sites(lean, start):
    clean = Program(TINY, REPLICAS, PER_REPLICA, with_sites=False)
    assert same_state(lean.step(*start).state, clean.step(*start).state)


@pytest.mark.parametrize("name", DIRECT)
def test_a_fault_does_the_same_by_bits(name, lean, full, start):
    replica = EVERY_REPLICA if "/update/" in name else 1
    fault = _fault(lean, name, replica)
    expected = full.step(*start, fault)
    result = lean.step(*start, fault)
    golden = lean.step(*start)
    assert same_state(result.state, expected.state)
    np.testing.assert_array_equal(result.loss, expected.loss)  # Both may be NaN.
    # The loss of an example is only reported.
    assert result.loss != golden.loss or not same_state(result.state, golden.state)
    (struck,), (reference,) = read_record(result.record), read_record(expected.record)
    assert struck.count == reference.count == len(WORDS)
    assert len(struck.golden) == 0
    assert lean.traces == 1


@pytest.mark.parametrize("name", TEXTBOOK)
def test_a_textbook_operand_is_struck_where_it_is_stored(name, lean, full, start):
    fault = _fault(lean, name)
    golden = to_arrays(lean.step(*start).state)
    expected = to_arrays(full.step(*start, fault).state)
    result = to_arrays(lean.step(*start, fault).state)
    changed = [key for key in golden if not np.array_equal(golden[key], expected[key])]
    assert changed
    # Rounding differs: the textbook sums in another order. Adam makes of any change of
    # a gradient one of its own size, so slots are what to compare.
    for key in result:
        if key.endswith("_moment"):
            np.testing.assert_allclose(result[key], expected[key], 1e-3, 1e-5)


def test_a_zero_of_the_textbook_form_is_refused(lean, start):
    with pytest.raises(
        InputError, match="position 0 of site block_conv1/grad_in/input"
    ):
        lean.step(*start, _fault(lean, "block_conv1/grad_in/input", first=0))


def test_a_position_outside_the_site_is_refused(lean, start):
    with pytest.raises(InputError, match="position 4 is outside site bn1/forward/mean"):
        lean.step(*start, _fault(lean, "bn1/forward/mean", first=2))


def test_flips_are_refused(lean, start):
    fault = rule(0, 0, 0, 1, keep=0xFFFFFFFF, word=1)
    with pytest.raises(InputError, match="lowering 'lean'"):
        lean.step(*start, fault)


def test_a_site_of_another_replica_is_not_struck(lean, start):
    result = lean.step(*start, _fault(lean, "conv1/forward/output", replica=7))
    assert same_state(result.state, lean.step(*start, disarmed()).state)
    assert read_record(result.record)[0].count == 0


def test_no_two_sites_of_a_bank_share_a_number():
    table = TINY.sites(PER_REPLICA)
    taken: dict[int, list[tuple[int, int]]] = {}
    for site, numbers in zip(table, numbering(table), strict=True):
        taken.setdefault(numbers.bank, []).append(
            (numbers.base, numbers.base + site.size)
        )
    assert len(taken) > 10
    for spans in taken.values():
        spans.sort()
        assert all(a[1] <= b[0] for a, b in zip(spans, spans[1:], strict=False))
