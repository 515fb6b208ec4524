# SPDX-License-Identifier: Apache-2.0
"""Drawn confinements name results that the faulty operand really reaches."""

import numpy as np
import pytest

from tests.layer_cases import Case, Values
from tests.layer_program import layer_program
from tpufi.element import to_words
from tpufi.faults.affected_outputs import operation
from tpufi.faults.catalogue import FaultModel
from tpufi.faults.elements import Groups
from tpufi.faults.plan import SamplingPlan, SiteSpace, equally
from tpufi.faults.sampler import Sampler
from tpufi.faults.values import Constant
from tpufi.layers import Conv2D, Dense, StandardisedConv2D

CASES = {
    "strided": Case(Conv2D("a", 20, 3, 2), (5, 4, 18), 2),
    "even": Case(Conv2D("a", 17, 3, 2), (4, 6, 3), 3),
    "sparse": Case(Conv2D("a", 20, 1, 2), (4, 4, 3), 2),
    "wide": Case(Conv2D("a", 4, 5, 1), (3, 4, 20), 2),
    "dense": Case(Dense("a", 20), (18,), 4),
    "tokens": Case(Dense("a", 20), (5, 18), 3),
    "standardised": Case(StandardisedConv2D("a", 20, 3, 2), (5, 4, 3), 2),
}
RESULTS = {
    "forward": "output",
    "grad_in": "gradient/input",
    "grad_wt": "gradient/a/kernel",
}
# The gradient of a raw kernel mixes what the standardised one keeps apart.
PLACES = [
    (name, direction)
    for name in CASES
    for direction in RESULTS
    if (name, direction) != ("standardised", "grad_wt")
]


def space_of(case: Case, table) -> SiteSpace:
    operations = {}
    for direction in RESULTS:
        sites = {s.operand: s for s in table if s.direction == direction}
        operations["a", direction] = operation(case.layer, direction, sites)
    return SiteSpace("case", table, operations, {})


def changed_results(program, values, fault, direction) -> set[int]:
    """Return the flat indices, in the layout of the site, of results that change."""
    faulty = program(values, fault.descriptor(program.table)).results
    golden = program(values).results
    name = RESULTS[direction]
    differ = to_words(faulty[name]) != to_words(golden[name])
    if direction == "grad_wt" and differ.ndim == 4:
        differ = differ.transpose(2, 0, 1, 3)
    return set(np.flatnonzero(differ).tolist())


@pytest.mark.parametrize("operand", ["input", "weight"])
@pytest.mark.parametrize(("name", "direction"), PLACES)
def test_what_changes_is_the_drawn_confinement(name, direction, operand):
    case = CASES[name]
    program = layer_program(case, "float32", "graph")
    values = Values.drawn(case, "float32")
    space = space_of(case, program.table)
    # A large value, so that no result is rounded back to what it was.
    model = FaultModel("BIG", operand, Groups(), Constant(1e6), confined_to=16)
    plan = SamplingPlan(equally([model]), patterns=(f"a/{direction}/*",), replicas=(0,))
    sampler = Sampler(space, plan)
    reaching = 0
    for number in range(40):
        fault = sampler.draw(41, number)
        changed = changed_results(program, values, fault, direction)
        if fault.affected is None:
            assert (name, operand) == ("sparse", "input") and not changed
            continue
        start, stride, count = fault.affected
        allowed = {start + j * stride for j in range(count)}
        if operand == "input":
            # Every channel of the drawn pixel reads the faulty element, unless it
            # meets one of the zeros between the pixels of a strided gradient.
            zeros = direction == "grad_wt" and getattr(case.layer, "stride", 1) > 1
            assert changed == allowed or (zeros and not changed)
        assert changed <= allowed
        reaching += bool(changed)
    assert reaching >= 2
