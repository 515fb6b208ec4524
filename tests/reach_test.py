# SPDX-License-Identifier: Apache-2.0
"""A confined fault in an operand reaches the results it names and no others."""

import numpy as np
import pytest
import tensorflow as tf

from tests.layer_cases import Case, Values
from tests.layer_program import layer_program
from tests.modes import MODES, assert_same_bits, in_mode
from tpufi.descriptor import fault_row
from tpufi.layers import Conv2D, Dense, DepthwiseConv2D
from tpufi.ops import inject_fault

CASES = {
    "strided": Case(Conv2D("a", 5, 3, 2), (6, 6, 4), 3),
    "pointwise": Case(Conv2D("a", 8, 1), (4, 4, 3), 2),
    "depthwise": Case(DepthwiseConv2D("a", 3), (4, 4, 3), 2),
    "dense": Case(Dense("a", 7), (5,), 4),
}
RESULTS = {
    "forward": "output",
    "grad_in": "gradient/input",
    "grad_wt": "gradient/a/kernel",
}
# The layout of the reference convolution's weight gradient: channels first.
PERMS = {(name, "grad_wt"): (2, 0, 1, 3) for name in ("strided", "pointwise")}
EXPONENT = 1 << 29
HUGE = 0x7E800000


def in_reach(shape: tuple, perm: tuple | None, confine: tuple) -> np.ndarray:
    """Return the mask of the named results in the shape of the tensor."""
    start, stride, count = confine
    order = perm or tuple(range(len(shape)))
    flat = np.zeros(int(np.prod(shape)), bool)
    flat[start + stride * np.arange(count)] = True
    return flat.reshape([shape[axis] for axis in order]).transpose(np.argsort(order))


@pytest.mark.parametrize("operand", ["input", "weight"])
@pytest.mark.parametrize("direction", RESULTS)
@pytest.mark.parametrize("name", CASES)
def test_results_in_reach_see_the_fault_and_all_others_are_golden(
    name, direction, operand
):
    case = CASES[name]
    program, values = (
        layer_program(case, "float32", "graph"),
        Values.drawn(case, "float32"),
    )
    site_id = program.table.id_of(f"a/{direction}/{operand}")
    size = program.table[site_id].size
    clean = program(values).results[RESULTS[direction]]
    fault = {"site": site_id, "replica": 0, "start": 0, "count": size}
    fault |= {"operation": "flip", "words": [EXPONENT]}
    everywhere = program(values, fault_row(**fault))
    faulty = everywhere.results[RESULTS[direction]]
    assert (faulty != clean).any()
    channels = clean.shape[-1]
    for confine in ((3, 1, 4), (1, channels, 3), (0, 1, 1)):
        outcome = program(values, fault_row(**fault, confine=confine))
        mask = in_reach(clean.shape, PERMS.get((name, direction)), confine)
        assert mask.sum() == confine[2]
        assert_same_bits(
            outcome.results[RESULTS[direction]], np.where(mask, faulty, clean)
        )
        assert outcome.injected.count == everywhere.injected.count
        for result, values_of in outcome.results.items():
            if result != RESULTS[direction]:
                assert_same_bits(values_of, everywhere.results[result])
    assert program.traces == 1


def test_infinite_errors_outside_the_reach_leave_no_trace():
    """As a product with a mask would: zero times infinity is no number."""
    case = CASES["strided"]
    program, values = (
        layer_program(case, "float32", "graph"),
        Values.drawn(case, "float32"),
    )
    site_id = program.table.id_of("a/forward/weight")
    clean = program(values).results["output"]
    fault = {"site": site_id, "replica": 0, "start": 0, "operation": "replace"}
    fault |= {"count": program.table[site_id].size, "words": [HUGE]}
    y = program(values, fault_row(**fault, confine=(2, 1, 1))).results["output"]
    assert np.isinf(y).sum() + np.isnan(y).sum() == 1
    assert_same_bits(y.ravel()[3:], clean.ravel()[3:])


@pytest.mark.parametrize("confine", [(10_000, 1, 16), (0, 5000, 3)])
def test_a_reach_outside_the_results_is_an_error(confine):
    case = CASES["dense"]
    program, values = (
        layer_program(case, "float32", "graph"),
        Values.drawn(case, "float32"),
    )
    site_id = program.table.id_of("a/forward/input")
    fault = fault_row(site=site_id, replica=0, start=0, count=1, operation="replace",
                      words=[1], confine=confine)  # fmt: skip
    with pytest.raises(tf.errors.InvalidArgumentError, match="flat indices outside"):
        program(values, fault)


@pytest.mark.parametrize("mode", MODES)
def test_a_site_that_cannot_confine_a_fault_refuses_it(mode):
    x = np.arange(10, dtype=np.float32)
    fault = fault_row(site=3, replica=0, start=0, count=1, operation="replace",
                      words=[1], confine=(0, 1, 2))  # fmt: skip
    function = in_mode(mode, lambda x, f, w: inject_fault(x, 3, 0, f, w))
    operands = [tf.constant(value) for value in (x, fault.faults, fault.words)]
    if mode != "xla":
        with pytest.raises(tf.errors.InvalidArgumentError, match="leave the reach out"):
            function(*operands)
        return
    y, record = function(*operands)
    assert_same_bits(y.numpy(), x)
    assert not record.numpy().any()
