# SPDX-License-Identifier: Apache-2.0
"""Broken elements in products of matrices, against the array cycle by cycle."""

import itertools

import numpy as np
import pytest

from tests.array_cases import (
    KINDS,
    Case,
    agrees,
    cases,
    main,
    random_element,
    whole_numbers,
    word,
)
from tests.systolic_array import multiply
from tpufi.units import ProcessingElement, UnitFault


def test_products_with_a_broken_element_are_those_of_the_array():
    for number, (kind, case) in enumerate(itertools.islice(cases(1), 150)):
        assert agrees(case.found, case.wanted), (number, kind, case)


@pytest.mark.slow
def test_many_products_with_a_broken_element_are_those_of_the_array():
    for number, (kind, case) in enumerate(itertools.islice(cases(2), 5000)):
        assert agrees(case.found, case.wanted), (number, kind, case)


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_an_element_reaches_what_it_is_said_to(kind):
    rng = np.random.default_rng(5)
    nan = word(np.float32(np.nan))
    for _ in range(10):
        unit = random_element(rng, kind)
        m, n = (int(size) for size in rng.integers(1, 9, 2))
        # So deep that each row of the array has a part.
        a, b = whole_numbers(rng, m, 6), whole_numbers(rng, 6, n)
        found = Case(a, b, UnitFault(unit, "replace", 0, nan)).wanted
        np.testing.assert_array_equal(np.isnan(found), unit.reached(m, n))


def test_the_array_multiplies_where_nothing_is_broken():
    rng = np.random.default_rng(6)
    for kind in KINDS:
        a, b = whole_numbers(rng, 7, 5), whole_numbers(rng, 5, 6)
        unit = random_element(rng, kind)
        np.testing.assert_array_equal(multiply(a, b, unit, lambda x: x), a @ b)


def test_the_command_prints_how_often_both_agree(capsys):
    assert main(["--cases", "10"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(KINDS) and all("1 of 1" in line for line in lines)


def test_sums_that_move_have_no_output_register():
    assert "output" not in ProcessingElement.registers("weight")
    assert "output" in ProcessingElement.registers("output")
