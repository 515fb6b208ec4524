# SPDX-License-Identifier: Apache-2.0
"""A fault in any operand or result of a layer does what numpy says it does."""

import dataclasses
import zlib
from collections.abc import Iterator

import numpy as np
import pytest

from tests.layer_cases import CASES_IN_MODES, Case, Values
from tests.layer_program import layer_program
from tests.modes import assert_same_bits
from tests.textbook import Results, textbook
from tpufi.descriptor import replacing
from tpufi.element import to_words
from tpufi.layers import (
    Conv2D,
    DepthwiseConv2D,
    StandardisedConv2D,
)
from tpufi.site_table import Site

SITES = [
    pytest.param(
        *(*case.values, site_id),
        id=f"{case.id}-{site.direction}-{site.operand}",
        # Whether XLA changes the same elements, the record and the ops tell as well.
        marks=pytest.mark.slow if case.values[1] == "xla" else case.marks,
    )
    for case in CASES_IN_MODES
    for site_id, site in enumerate(case.values[0].sites("float32"))
]
every_site = pytest.mark.parametrize(("case", "mode", "site_id"), SITES)
# The square of 1e30 overflows, its products with ordinary values do not.
EXTREMES = (np.inf, -np.inf, np.nan, 1e30)


class Alteration:
    """Sets one element of one operand; remembers the operand as it was."""

    def __init__(self, site: Site, position: int, value: float):
        self.site, self.position, self.value = site, position, value
        self.golden: np.ndarray | None = None

    def __call__(self, direction: str, operand: str, x: np.ndarray) -> np.ndarray:
        if (direction, operand) != (self.site.direction, self.site.operand):
            return x
        assert x.shape == self.site.shape and self.golden is None
        self.golden = x.copy()
        altered = x.copy()
        altered.reshape(-1)[self.position] = self.value
        return altered


def _unaltered(direction: str, operand: str, x: np.ndarray) -> np.ndarray:
    return x


def _operand(case: Case, values: Values, site: Site) -> np.ndarray:
    look = Alteration(site, 0, 0.0)
    textbook(case, values, look)
    return look.golden


def _positions(operand: np.ndarray) -> Iterator[int]:
    """First, last, random ones, and of zeros (padded, inserted) first, middle, last."""
    rng = np.random.default_rng(zlib.crc32(operand.tobytes()))
    chosen = {0, operand.size - 1, *rng.integers(0, operand.size, 3).tolist()}
    zeros = np.flatnonzero(operand == 0)
    if len(zeros):
        chosen |= {int(zeros[i]) for i in (0, len(zeros) // 2, -1)}
    others = np.flatnonzero(operand)
    chosen |= {int(others[i]) for i in (0, len(others) // 2)}
    return iter(sorted(chosen))


def _check_untouched(actual: Results, disarmed: Results, touched: Results) -> None:
    for name, array in actual.items():
        kept = np.where(touched[name], disarmed[name], array).astype(array.dtype)
        assert_same_bits(kept, disarmed[name])


def _touched(faulty: Results, clean: Results) -> Results:
    return {name: to_words(faulty[name]) != to_words(clean[name]) for name in clean}


def _where_kernels_differ(
    case: Case, values: Values, site: Site, position: int, value: float
) -> dict[str, np.ndarray]:
    """Outputs for which a non-finite tap of a convolution meets padding only.

    Kernels that skip the padding leave them alone, kernels that multiply by its zeros
    make NaN of them; TensorFlow's on CPU skip, XLA's multiply.
    """
    if isinstance(case.layer, DepthwiseConv2D) and not np.isfinite(value):
        return _where_depthwise_kernels_differ(case, values, site, position)
    if isinstance(case.layer, StandardisedConv2D) and not np.isfinite(value):
        return _where_standardised_kernels_differ(case, site, position)
    tap = (site.direction, site.operand) == ("forward", "weight")
    if not (tap and isinstance(case.layer, Conv2D)) or np.isfinite(value):
        return {}
    one_hot = np.zeros(site.shape)
    one_hot.flat[position] = 1
    ones = dataclasses.replace(
        values, x=np.ones_like(values.x), parameters={"conv/kernel": one_hot}
    )
    meets_pixel = textbook(case, ones, _unaltered)["output"] != 0
    meets_pixel[..., np.arange(site.shape[-1]) != position % site.shape[-1]] = True
    return {"output": ~meets_pixel}


def _where_depthwise_kernels_differ(
    case: Case, values: Values, site: Site, position: int
) -> dict[str, np.ndarray]:
    """Elements of the faulty channel that meet the faulty element nowhere.

    Both gradients read their operands as the kernel does, which may multiply the zeros
    of padding and stride or skip them.
    """
    if site.operand == "output":
        return {}
    name, axis = {
        "forward": ("output", 3),
        "grad_in": ("gradient/input", 3),
        "grad_wt": ("gradient/dw/kernel", 2),
    }[site.direction]
    (kernel,) = values.parameters.values()
    ones = dataclasses.replace(
        values,
        x=np.ones_like(values.x),
        parameters={"dw/kernel": np.ones_like(kernel)},
        dy=np.ones_like(values.dy),
    )
    one_hot = np.zeros(site.shape)
    one_hot.flat[position] = 1

    def only(direction: str, operand: str, x: np.ndarray) -> np.ndarray:
        injected = (direction, operand) == (site.direction, site.operand)
        return one_hot if injected else x

    meets = np.moveaxis(textbook(case, ones, only)[name] != 0, axis, 0)
    at = np.unravel_index(position, site.shape)
    channel = at[2] if site.shape == kernel.shape else at[-1]
    meets[np.arange(len(meets)) != channel] = True
    return {name: ~np.moveaxis(meets, 0, axis)}


def _where_standardised_kernels_differ(
    case: Case, site: Site, position: int
) -> dict[str, np.ndarray]:
    """What is computed from a kernel, larger than a pixel, that is not finite.

    What such a kernel makes of padding is checked for the convolution alone.
    """
    operands = ("weight", "raw_weight", "gain", "mean", "variance")
    if case.layer.kernel == 1 or site.direction != "forward":
        return {}
    if site.operand not in operands:
        return {}
    differ = np.zeros((case.batch, *case.layer.output_shape(case.shape)), bool)
    differ[..., position % differ.shape[-1]] = True
    if site.operand == "weight":  # A copy, which the backward pass does not see.
        return {"output": differ}
    return {"output": differ, "gradient/input": np.ones(1, bool)}


@every_site
def test_a_finite_fault_equals_numpy_on_the_altered_operand(case: Case, mode, site_id):
    program = layer_program(case, "float64", mode)
    site, values = program.table[site_id], Values.drawn(case, "float64")
    clean, disarmed = textbook(case, values, _unaltered), program(values).results
    operand = _operand(case, values, site)
    for position in _positions(operand):
        for value in (7.25, -3e4):
            word = to_words(np.array([value]))
            fault = replacing(site_id, 0, np.array([position]), word)
            actual = program(values, fault)
            expected = textbook(case, values, Alteration(site, position, value))
            assert actual.results.keys() == expected.keys()
            for name, want in expected.items():
                # float64 keeps 16 digits; the sums have at most 500 terms, and the
                # largest ones, which may cancel, are of the order of value squared.
                np.testing.assert_allclose(
                    actual.results[name],
                    want,
                    rtol=1e-11,
                    atol=1e-12 * max(1.0, np.abs(want).max()),
                    err_msg=f"{site.name}[{position}] = {value}: {name}",
                )
            touched = _touched(expected, clean)
            _check_untouched(actual.results, disarmed, touched)
            (golden,) = actual.injected.golden.view(np.float64)
            np.testing.assert_allclose(golden, operand.flat[position], rtol=1e-11)


@every_site
def test_an_extreme_fault_is_non_finite_exactly_where_numpy_is(
    case: Case, mode, site_id
):
    program = layer_program(case, "float32", mode)
    site, values = program.table[site_id], Values.drawn(case, "float32")
    clean, disarmed = textbook(case, values, _unaltered), program(values).results
    operand = _operand(case, values, site)
    for position in _positions(operand):
        for value in EXTREMES:
            word = to_words(np.array([value], np.float32))
            fault = replacing(site_id, 0, np.array([position]), word)
            actual = program(values, fault).results
            expected = textbook(case, values, Alteration(site, position, value))
            free = _where_kernels_differ(case, values, site, position, value)
            where = f"{site.name}[{position}] = {value}: "
            for name, want in expected.items():
                for test in (np.isnan, np.isposinf, np.isneginf):
                    agree = test(actual[name]) == test(want)
                    assert (agree | free.get(name, False)).all(), where + name
            _check_untouched(actual, disarmed, _touched(expected, clean))
