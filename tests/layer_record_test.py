# SPDX-License-Identifier: Apache-2.0
"""What a layer reports of a fault is what happened, at the place that was named."""

import numpy as np
import pytest

from tests.decoder_cases import LookedUp
from tests.layer_cases import (
    CASES_IN_MODES,
    ONE_OF_EACH,
    SIXTEEN_BITS,
    Case,
    LabelledLoss,
    Values,
)
from tests.layer_program import LayerProgram, layer_program
from tpufi.descriptor import replacing
from tpufi.element import element, to_words
from tpufi.layers import Conv2D, StandardisedConv2D
from tpufi.site_table import Site

# Sites that are a result of the layer as well.
RESULTS = {
    ("forward", "output"): "output",
    ("grad_in", "output"): "gradient/input",
    ("grad_wt", "output"): "gradient/{weight}",
    ("grad_wt", "bias_output"): "gradient/{layer}/beta",
    ("grad_wt", "gain_output"): "gradient/wsconv/gain",
    ("grad_wt", "raw_output"): "gradient/wsconv/kernel",
}


def _result(case: Case, site: Site) -> str | None:
    if (site.direction, site.operand) not in RESULTS:
        return None
    if isinstance(case.layer, LabelledLoss) and site.direction == "forward":
        return None  # Its output site is the loss of each example, before the sum.
    if isinstance(case.layer, StandardisedConv2D) and site.operand == "output":
        # The gradient of the standardised kernel is on the way to that of the raw one.
        if site.direction == "grad_wt":
            return None
    if isinstance(case.layer, LookedUp) and site.direction == "grad_wt":
        return "gradient/input"  # There the table is the input.
    weights = case.layer.parameters(case.shape)
    name = RESULTS[site.direction, site.operand]
    return name.format(layer=site.layer, weight=weights[0].name if weights else "")


OUTPUTS = [
    pytest.param(
        *case.values,
        dtype,
        site_id,
        name,
        id=f"{case.id}-{dtype}-{site.direction}-{site.operand}",
        marks=pytest.mark.slow
        if case.values[1] == "xla" and dtype != "float32"
        else case.marks,
    )
    for case in CASES_IN_MODES
    for dtype in ("float32", *(SIXTEEN_BITS if case.values[0] in ONE_OF_EACH else ()))
    for site_id, site in enumerate(case.values[0].sites("float32"))
    if (name := _result(case.values[0], site)) is not None
]


@pytest.mark.parametrize(("case", "mode", "dtype", "site_id", "name"), OUTPUTS)
def test_a_fault_in_a_result_changes_exactly_the_elements_of_its_record(
    case: Case, mode, dtype, site_id, name
):
    program = layer_program(case, dtype, mode)
    site, values = program.table[site_id], Values.drawn(case, dtype)
    disarmed = _words(program(values).results[name], site)
    count = min(site.size, 5)
    rng = np.random.default_rng(site_id)
    for start in {0, (site.size - count) // 2, site.size - count}:
        words = rng.integers(0, 1 << element(dtype).bits, count, np.uint64)
        positions = np.arange(start, start + count)
        outcome = program(values, replacing(site_id, 0, positions, words))
        expected = disarmed.copy()
        expected[positions] = words
        assert (_words(outcome.results[name], site) == expected).all()
        assert outcome.injected.count == count
        assert (outcome.injected.golden == disarmed[positions]).all()


def _words(x: np.ndarray, site: Site) -> np.ndarray:
    """Return the bits in the order of the site's layout."""
    if site.layer == "conv" and site.direction == "grad_wt":
        x = x.transpose(2, 0, 1, 3)
    assert x.shape == site.shape
    return to_words(x).reshape(-1)


# Kernel and size of a stride-2 convolution; rows and columns of the real pixels in the
# operands of the input gradient (padded frame) and of the kernel gradient. For even
# sizes these are the artefact's: odd rows of the image for k > 1, even ones for k = 1.
STRIDE_2 = {
    (1, (6, 4)): (((0, 2, 4), (0, 2)), ((0, 2, 4), (0, 2))),
    (3, (6, 4)): (((2, 4, 6), (2, 4)), ((1, 3, 5), (1, 3))),
    (7, (6, 4)): (((4, 6, 8), (4, 6)), ((1, 3, 5), (1, 3))),
    (3, (5, 7)): (((1, 3, 5), (1, 3, 5, 7)), ((0, 2, 4), (0, 2, 4, 6))),
}


@pytest.mark.parametrize(("kernel", "size"), STRIDE_2, ids=str)
def test_gradients_of_strided_convolutions_lie_among_zeros(kernel, size):
    case = Case(Conv2D("conv", 5, kernel, 2), (*size, 3), 2)
    values, half = Values.drawn(case, "float32"), kernel // 2
    in_input, in_weight = STRIDE_2[kernel, size]
    padded = [n + 2 * half for n in size]
    expected = {
        "grad_in/input": np.zeros((2, *padded, 5), np.float32),
        "grad_wt/weight": np.zeros((*size, 2, 5), np.float32),
    }
    images, filters = range(2), range(5)
    expected["grad_in/input"][np.ix_(images, *in_input, filters)] = values.dy
    expected["grad_wt/weight"][np.ix_(*in_weight)] = values.dy.transpose(1, 2, 0, 3)
    frame = [(0, 0), (half, half), (half, half), (0, 0)]
    expected["grad_wt/input"] = np.pad(values.x, frame).transpose(3, 1, 2, 0)
    program = LayerProgram(case, "float32", "graph")
    for name, operand in expected.items():
        # A fault in all elements at once reports what all of them were.
        everywhere, words = np.arange(operand.size), to_words(operand).reshape(-1)
        site_id = program.table.id_of(f"conv/{name}")
        fault = replacing(site_id, 0, everywhere, words ^ 1, capacity=operand.size)
        assert program.table[site_id].shape == operand.shape
        assert (program(values, fault).injected.golden == words).all()
