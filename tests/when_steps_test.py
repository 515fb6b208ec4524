# SPDX-License-Identifier: Apache-2.0
"""A fault with a moment in a training: one trace, and the bits of single faults."""

import dataclasses

import numpy as np
import pytest

from tests.tiny_workload import TINY, tiny_batch
from tpufi.descriptor import EVERY_REPLICA, disarmed, read_record, stacked
from tpufi.errors import InputError
from tpufi.fault import Elements, Fault
from tpufi.training import Program, initial_state, same_state
from tpufi.when import When

REPLICAS, PER_REPLICA, RATE, STEPS = 3, 2, 0.01, 12
SITES = ("conv1/forward/weight", "fc/grad_wt/output", "fc/kernel/update/first_moment")
FIRST = 2
WHENS = (
    When(rate=0.4, key=77),
    When(rate=0.4, key=78, every=3),
    When(steps=((1, 2), (5, 6))),
    When(steps=((0, 6),), rate=0.7, key=5),
    When(rate=1e-9, key=1),
    When(),
)


@pytest.fixture(scope="module", params=[False, True], ids=["graph", "xla"])
def program(request) -> Program:
    how = {"compiled": True, "sites": SITES} if request.param else {}
    return Program(TINY, REPLICAS, PER_REPLICA, **how)


def fault_at(program: Program, site: str, when: When | None, replica: int) -> Fault:
    where = program.table[program.table.id_of(site)]
    return Fault(
        model="given",
        site=site,
        dtype=where.dtype,
        shape=where.shape,
        replica=replica,
        epoch=0,
        step=FIRST,
        duration=1 if when is None else when.length,
        elements=Elements.run(1, 2),
        operation="flip",
        keep=0,
        words=(1 << 28,),
        when=when,
    )


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("when", WHENS, ids=str)
def test_a_moment_is_faults_of_single_steps_and_replicas(program, site, when):
    batch, keys = tiny_batch(REPLICAS, PER_REPLICA)
    table, number = program.table, program.table.id_of(site)
    replicas = (0,) if "/update/" in site else range(REPLICAS)
    whole = fault_at(program, site, when, EVERY_REPLICA)
    # So many rows in both, that both are one program.
    armed = whole.descriptor(table, REPLICAS, FIRST)
    state = other = initial_state(TINY, 1)
    times = 0
    for step in range(STEPS):
        own = [r for r in replicas if when.injects(step, r, number, FIRST)]
        singles = [fault_at(program, site, None, r).descriptor(table) for r in own]
        rest = disarmed(REPLICAS - len(own))
        found = program.step(state, batch, keys, RATE, armed, step)
        right = program.step(other, batch, keys, RATE, stacked([*singles, rest]))
        state, other = found.state, right.state
        assert same_state(state, other), step
        counts = [sum(r.count for r in read_record(x.record)) for x in (found, right)]
        assert counts == 2 * [2 * len(own)]
        times += len(own)
    most = len(replicas) * len([k for k in range(STEPS - FIRST) if when.covers(k)])
    assert times == most if when.rate == 1 else times < most


def test_all_moments_are_one_trace(program):
    assert program.traces == 1


def test_a_moment_needs_the_number_of_the_step(program):
    batch, keys = tiny_batch(REPLICAS, PER_REPLICA)
    fault = fault_at(program, SITES[0], When(rate=0.5), 0)
    armed = fault.descriptor(program.table, REPLICAS)
    with pytest.raises(InputError, match="the step no number; tell steps since the st"):
        program.step(initial_state(TINY, 1), batch, keys, RATE, armed)


def test_the_duration_of_a_fault_is_that_of_its_moment(program):
    fault = fault_at(program, SITES[0], When(steps=((3, 8),)), 0)
    assert fault.duration == 9
    with pytest.raises(InputError, match="duration: 2; expected 9, as when says"):
        dataclasses.replace(fault, duration=2)


def test_rows_of_listed_elements_are_injected_together(program):
    fault = fault_at(program, SITES[0], When(rate=0.5, key=3), 1)
    listed = dataclasses.replace(fault, elements=Elements.of(np.array([1, 5, 9])))
    batch, keys = tiny_batch(REPLICAS, PER_REPLICA)
    armed = listed.descriptor(program.table, REPLICAS, FIRST)
    found = set()
    for step in range(FIRST, 20):
        result = program.step(initial_state(TINY, 1), batch, keys, RATE, armed, step)
        count = sum(row.count for row in read_record(result.record))
        number = program.table.id_of(fault.site)
        assert count == 3 * fault.when.injects(step, 1, number, FIRST)
        found.add(count)
    assert found == {0, 3}
