# SPDX-License-Identifier: Apache-2.0
"""Training steps with a broken unit: bits, counts, moments and replicas."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from tests.modes import assert_same_bits
from tests.tiny_workload import TINY, tiny_batch
from tpufi.errors import InputError
from tpufi.training.program import Program, StepResult
from tpufi.training.state import State, initial_state
from tpufi.units import (
    Link,
    MemoryAddress,
    ProcessingElement,
    SavedActivation,
    UnitFault,
    VectorLane,
)
from tpufi.when import When

REPLICAS, IMAGES = 2, 4
ELEMENT = ProcessingElement(8, 8, "output", "output", 1, 2)
NEVER = When(steps=((5, 5),))


@functools.cache
def program(compiled: bool = False) -> Program:
    return Program(TINY, REPLICAS, IMAGES, compiled=compiled)


def step(
    fault: UnitFault | None, number: int = 0, compiled: bool = False
) -> StepResult:
    batch, keys = tiny_batch(REPLICAS, IMAGES)
    begin = initial_state(TINY, 0)
    own = program(compiled)
    return own.step(begin, batch, keys, 0.001, fault, number)


def differing(one: State, other: State) -> set[str]:
    """Return the names of the tensors of two states that differ."""
    return {
        name
        for part, same in zip(one[:3], other[:3], strict=True)
        for name in part
        if not np.array_equal(part[name].numpy(), same[name].numpy())
    }


def assert_same_states(one: State, other: State) -> None:
    for a, b in zip(tf.nest.flatten(one), tf.nest.flatten(other), strict=True):
        assert_same_bits(a.numpy(), b.numpy())


@pytest.mark.parametrize(
    "unit",
    [
        ELEMENT,
        ProcessingElement(8, 8, "weight", "weight", 1, 2),
        ProcessingElement(8, 8, "weight", "input", 1, 2),
        VectorLane(5),
        MemoryAddress("fc/kernel", 3),
        SavedActivation("conv1", 7),
        Link("missing", 1, 4),
    ],
    ids=lambda unit: type(unit).__name__ + getattr(unit, "register", ""),
)
def test_a_step_has_the_bits_of_a_clean_one_where_a_unit_is_whole(unit):
    clean, never = step(None), step(UnitFault.flipped(unit, 25, when=NEVER))
    assert_same_states(never.state, clean.state)
    assert never.record.tolist() == [0, 0]
    broken, again = (step(UnitFault.flipped(unit, 25)) for _ in range(2))
    applied, changed = broken.record.tolist()
    assert 0 < changed <= applied
    assert differing(broken.state, clean.state)
    assert_same_states(broken.state, again.state)


def test_another_place_bit_moment_and_rate_is_the_same_trace():
    step(UnitFault.flipped(ELEMENT, 25))
    traces = program().traces
    other = ProcessingElement(8, 8, "output", "output", 3, 5)
    step(UnitFault.stuck(other, 30, 1, replica=1, when=When(rate=0.5, key=3)), 7)
    step(UnitFault(other, "zero", first=2, when=When(every=3)), 8)
    assert program().traces == traces


def test_a_broken_chip_touches_its_own_replica():
    each = [step(UnitFault.flipped(ELEMENT, 25, replica=r)).record for r in (0, 1, -1)]
    assert each[0][0] == each[1][0] > 0
    assert each[2][0] == each[0][0] + each[1][0]


def test_an_element_passes_as_many_results_as_its_tiles_have():
    unit = ProcessingElement(8, 8, "output", "output", 1, 2)
    expected = 0
    table = program().table
    products = {s.layer for s in table if s.name.endswith("/grad_wt/weight")}
    for site in table:
        # Nothing reads the gradient of the images.
        unread = site.name == "conv1/grad_in/output"
        if site.layer in products and site.operand == "output" and not unread:
            *rows, columns = site.shape
            m, n = int(np.prod(rows)), columns
            expected += len(range(1, m, 8)) * len(range(2, n, 8))
    assert step(UnitFault(unit, "zero", replica=0)).record[0] == expected


def test_a_rate_breaks_a_share_of_operations():
    unit = VectorLane(0)
    whole = step(UnitFault.flipped(unit, 20)).record[0]
    when = When(rate=0.25, key=11)
    some = [
        step(UnitFault.flipped(unit, 20, when=when), n).record[0] for n in range(12)
    ]
    assert len(set(some)) > 1
    assert 0.15 < np.mean(some) / whole < 0.35


def test_stuck_memory_stays_stuck():
    unit = MemoryAddress("fc/kernel", 3)
    found = step(UnitFault(unit, "replace", 0, int(np.float32(2).view(np.uint32))))
    assert found.state.parameters["fc/kernel"].numpy().flat[3] == 2
    slot = MemoryAddress("conv1/kernel/first_moment", 0)
    state = step(UnitFault(slot, "zero")).state
    assert state.slots["conv1/kernel/first_moment"].numpy().flat[0] == 0
    assert differing(state, step(None).state) <= {
        "conv1/kernel/first_moment",
        "conv1/kernel",
    }


def test_a_saved_activation_breaks_between_the_passes():
    clean = step(None)
    found = step(UnitFault.flipped(SavedActivation("fc", 1), 30, replica=0))
    assert found.loss == clean.loss and found.accuracy == clean.accuracy
    changed = {name for name in differing(found.state, clean.state) if "/" in name}
    # The gradient of the weights reads the input, that of the input does not.
    assert {name.split("/")[0] for name in changed} == {"fc"}


def test_a_chunk_is_missing_twice_or_corrupted():
    chunks = 4
    size = sum(
        x.shape.num_elements() for x in initial_state(TINY, 0).parameters.values()
    )
    for error in ("missing", "twice", "corrupted"):
        found = step(UnitFault.flipped(Link(error, 1, chunks), 31, replica=1))
        assert found.record[0] == size * 2 // chunks - size // chunks
    whole = step(UnitFault(Link("missing"), "zero"))
    assert whole.record[0] == REPLICAS * size
    begin = initial_state(TINY, 0)
    assert not differing(whole.state, begin) & begin.parameters.keys()


@pytest.mark.slow
@pytest.mark.parametrize(
    "unit",
    [
        ELEMENT,
        ProcessingElement(8, 8, "output", "input", 1, 2),
        ProcessingElement(8, 8, "weight", "input", 1, 2),
        VectorLane(5),
    ],
    ids=lambda unit: type(unit).__name__ + getattr(unit, "register", ""),
)
def test_a_compiled_step_repeats_its_bits_and_counts_as_a_graph_does(unit):
    fault = UnitFault.flipped(unit, 22)
    once, twice = (step(fault, compiled=True) for _ in range(2))
    assert_same_states(once.state, twice.state)
    graph = step(fault)
    assert once.record[0] == graph.record[0]
    np.testing.assert_allclose(once.loss, graph.loss, rtol=1e-3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ProcessingElement(row=128), "row 128 is not 0 to 127"),
        (lambda: ProcessingElement(4, 4, column=-1), "column -1 is not 0 to 3"),
        (lambda: ProcessingElement(0, 4), "rows 0 is not 1 to"),
        (lambda: ProcessingElement(dataflow="row"), "dataflow 'row' is unknown"),
        (
            lambda: ProcessingElement(dataflow="weight", register="output"),
            "register 'output' is unknown; choose weight, input or accumulator",
        ),
        (lambda: VectorLane(128), "lane 128 is not 0 to 127 of 8x128 lanes"),
        (lambda: VectorLane(0, 8), "sublane 8 is not 0 to 7"),
        (lambda: Link("late"), "error 'late' is unknown"),
        (lambda: Link("twice", 3, 3), "chunk 3 is not 0 to 2"),
        (lambda: UnitFault(VectorLane(), "add"), "operation 'add' is unknown"),
        (lambda: UnitFault(VectorLane(), "flip", keep=1), "keep 1 is not 0"),
        (lambda: step(UnitFault.flipped(VectorLane(), 32)), "of float32"),
        (
            lambda: step(UnitFault.flipped(MemoryAddress("fc/kernal"), 3)),
            "no 'fc/kernal' here; nearest .* fc/kernel",
        ),
        (
            lambda: step(UnitFault.flipped(MemoryAddress("fc/kernel", 80), 3)),
            "element 80 lies outside fc/kernel of 80 elements",
        ),
        (
            lambda: UnitFault(VectorLane(), when=When(between=(0.0, 1.0))),
            "give when no between",
        ),
    ],
)
def test_bad_input_gives_one_clear_line(make, message):
    with pytest.raises(InputError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)
