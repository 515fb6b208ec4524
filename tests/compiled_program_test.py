# SPDX-License-Identifier: Apache-2.0
"""The compiled armed step: the record is what a fault found, the state what it left."""

import numpy as np
import pytest

from tests.compiled_faults_test import MODELS
from tests.fault_reference import apply
from tests.modes import assert_same_bits
from tests.tiny_workload import TINY, tiny_batch
from tpufi.descriptor import disarmed, read_record
from tpufi.element import to_words
from tpufi.faults.plan import SamplingPlan, SiteSpace, equally
from tpufi.faults.sampler import Sampler
from tpufi.stale import holding
from tpufi.training import Program, initial_state
from tpufi.training.state import to_arrays

REPLICAS, PER_REPLICA, RATE = 2, 2, 0.01
FAULTS = 25
SPACE = SiteSpace.of(TINY, PER_REPLICA)
# Operands whose bits are known before the step ...
OPERANDS = {
    "conv1/forward/input": lambda state, images: images,
    "block_conv1/forward/weight": lambda state, _: state.parameters[
        "block_conv1/kernel"
    ],
    "fc/forward/weight": lambda state, _: state.parameters["fc/kernel"],
}
# ... and results that are in the state behind it.
RESULTS = ("fc/kernel/update/first_moment", "conv1/kernel/update/second_moment")


@pytest.fixture(scope="module")
def program() -> Program:
    sites = (*OPERANDS, *RESULTS)
    return Program(TINY, REPLICAS, PER_REPLICA, compiled=True, sites=sites)


@pytest.fixture(scope="module")
def step(program):
    """Return the step of a fault, from a state whose slots are not zero."""
    batch, keys = tiny_batch(REPLICAS, PER_REPLICA)
    first = initial_state(TINY, 1)
    state = program.step(first, batch, keys, RATE, disarmed()).state

    def run(fault=None):
        d = disarmed() if fault is None else fault.descriptor(program.table)
        return program.step(state, batch, keys, RATE, d)

    run.state, run.images = state, batch.images
    return run


def faults(site: str):
    """Draw faults of all models that fit a site."""
    where = SPACE.table[SPACE.table.id_of(site)]
    operation = SPACE.operation_of(where)
    models = [m for m in MODELS if m.misfit(where, operation) is None]
    plan = SamplingPlan(
        equally(models), "sites", (site,), steps=(1, 4), replicas=range(REPLICAS)
    )
    sampler = Sampler(SPACE, plan)
    for number in range(FAULTS):
        fault = sampler.draw(51, number)
        yield holding(fault, [number]) if fault.stale else fault


def assert_recorded(result, fault, found: np.ndarray) -> None:
    (injected,) = read_record(result.record)
    assert injected.count == fault.elements.count, fault
    bits = to_words(found).reshape(-1)[fault.elements.indices()]
    assert injected.golden.tolist() == bits[:64].tolist(), fault


@pytest.mark.parametrize("site", OPERANDS)
def test_the_record_has_the_bits_of_the_operand(site, program, step):
    for fault in faults(site):
        images = step.images[fault.replica]
        found = np.asarray(OPERANDS[site](step.state, images))
        assert_recorded(step(fault), fault, found)
    assert program.traces == 1


@pytest.mark.parametrize("site", RESULTS)
def test_a_faulty_result_is_what_numpy_says_and_no_other_tensor_changes(
    site, program, step
):
    golden = to_arrays(step().state)
    weight, what = site.split("/update/")
    slot, own = f"slots/{weight}/{what}", f"parameters/{weight}"
    for fault in faults(site):
        result = step(fault)
        assert_recorded(result, fault, golden[slot])
        after = to_arrays(result.state)
        assert_same_bits(after[slot], apply(fault, golden[slot]))
        for name in golden.keys() - {slot, own}:
            assert_same_bits(after[name], golden[name])
        # Without a fault in it a product changes its weight as without the fault.
        kept = to_words(after[slot]) == to_words(golden[slot])
        assert_same_bits(after[own][kept], golden[own][kept])
    assert program.traces == 1
