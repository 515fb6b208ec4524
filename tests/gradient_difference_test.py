# SPDX-License-Identifier: Apache-2.0
"""The measures of a difference, and the table they are shown in."""

import csv
import json
import math

import numpy as np
import pytest

from tpufi.contrib.isca23.gradient_comparison import (
    COLUMNS,
    Comparison,
    as_csv,
    as_json,
    as_text,
    compare,
    compare_all,
    plot_differences,
    select,
)
from tpufi.errors import InputError

INF, NAN = math.inf, math.nan


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_measures_are_those_of_their_definition(dtype):
    a = np.array([[1, -2, 0, 4], [0, 2, -1, 3]], dtype)
    b = np.array([[1, 2, -0.0, NAN], [5, INF, -1, -3]], dtype)
    row = compare("w", a, b)
    # Finite on both sides: 1, -2, 0, 0, -1, 3 against 1, 2, -0, 5, -1, -3.
    assert row.norm == pytest.approx(math.sqrt(15))
    assert row.largest == 6
    assert row.relative == pytest.approx(math.sqrt(16 + 25 + 36) / math.sqrt(15))
    assert row.changed == 6 / 8  # -0.0 has other bits than 0.0,
    assert row.flipped == 2 / 8  # but is no flip of a sign.
    assert row.not_finite == 2
    assert (row.name, row.elements) == ("w", 8)


@pytest.mark.parametrize(
    ("a", "b", "relative"),
    [([0], [0], 0), ([0], [1], INF), ([], [], 0), ([1], [NAN], 0), ([2], [1], 0.5)],
)
def test_zero_references_empty_tensors_and_nan_have_a_defined_distance(a, b, relative):
    row = compare("w", np.array(a, np.float32), np.array(b, np.float32))
    assert row.relative == relative


def test_norms_of_the_largest_numbers_do_not_overflow():
    a = np.full(4, 4e307)
    row = compare("w", a, a / 2)
    assert (row.norm, row.relative) == (pytest.approx(8e307), pytest.approx(0.5))


def test_nans_with_other_payloads_are_a_change_and_no_flip():
    words = np.array([0x7FC00000, 0x7FC00001], np.uint32).view(np.float32)
    row = compare("w", words[:1], words[1:])
    assert (row.changed, row.flipped, row.not_finite) == (1, 0, 1)


def test_tensors_of_other_types_shapes_or_names_are_not_compared():
    a = np.zeros(2, np.float32)
    with pytest.raises(ValueError, match=r"float32 \(2,\) cannot .* float64 \(2,\)"):
        compare("w", a, a.astype(np.float64))
    with pytest.raises(ValueError, match="names differ"):
        compare_all({"w": a}, {"v": a})


def test_the_last_row_is_of_all_elements_as_one():
    a = {"x": np.array([3.0, 0.0]), "y": np.array([[4.0]])}
    b = {"x": np.array([3.0, 0.0]), "y": np.array([[-1.0]])}
    *rows, everything = compare_all(a, b)
    assert [row.name for row in rows] == ["x", "y"]
    assert everything == compare("(all)", np.array([3.0, 0, 4]), np.array([3.0, 0, -1]))
    assert everything.relative == 1


@pytest.fixture
def comparison() -> Comparison:
    golden = {f"layer{i}/kernel": np.full(4, 1.0, np.float32) for i in range(3)}
    faulty = {name: array.copy() for name, array in golden.items()}
    faulty["layer1/kernel"][0] = NAN
    faulty["layer2/kernel"][:2] = -5
    rows = compare_all(golden, faulty)
    return Comparison("golden", "faulty", "float32", (1.0, INF), rows, ("injected",))


def names(rows) -> list[str]:
    return [row.name for row in rows]


def test_rows_are_sorted_filtered_and_cut_and_the_sum_stays(comparison):
    a, b, c, everything = names(comparison.rows)
    assert names(select(comparison.rows, sort="relative")) == [c, a, b, everything]
    assert names(select(comparison.rows, sort="not_finite", top=1)) == [b, everything]
    assert names(select(comparison.rows, containing="2/")) == [c, everything]
    with pytest.raises(InputError, match="'conv' in its name; nearest: layer0/kernel"):
        select(comparison.rows, containing="conv")
    with pytest.raises(InputError, match="sort by 'size'; known: order, name"):
        select(comparison.rows, sort="size")


def test_the_table_has_a_line_per_row_under_the_head(comparison):
    lines = as_text(comparison, comparison.rows).splitlines()
    assert lines[0] == "injected"
    assert lines[1].endswith("faulty against golden; 2 of 3 variables differ")
    assert lines[2] == "loss: golden 1, faulty inf"
    assert lines[3].split()[0] == "variable" and len(lines) == 8
    cells = "layer1/kernel 4 1.73 0 0 25 % 0 1"  # The norm is of three elements.
    assert lines[5].split() == cells.split()
    assert len({len(line) for line in lines[3:]}) == 1


def test_csv_and_json_hold_the_same_numbers(comparison):
    table = list(csv.DictReader(as_csv(comparison.rows).splitlines()))
    assert list(table[0]) == list(COLUMNS) and len(table) == 4
    entry = json.loads(as_json(comparison, comparison.rows))
    assert entry["losses"] == [1.0, "inf"] and entry["injected"] == ["injected"]
    for row, cells, item in zip(comparison.rows, table, entry["rows"], strict=True):
        for column in COLUMNS:
            value = getattr(row, column)
            assert item[column] == value and type(value)(cells[column]) == value


def test_the_picture_is_a_png_even_without_any_difference(comparison, tmp_path):
    same = {"w": np.ones(3, np.float32)}
    equal = Comparison("a", "b", "float32", (1.0, 1.0), compare_all(same, same))
    for name, case in {"some": comparison, "none": equal}.items():
        path = plot_differences(case, tmp_path / f"{name}.png")
        assert path.read_bytes()[:4] == b"\x89PNG"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["none.png", "some.png"]
