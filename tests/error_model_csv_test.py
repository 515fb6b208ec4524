# SPDX-License-Identifier: Apache-2.0
"""A CSV of results becomes an error model: what is understood, what is refused."""

from fractions import Fraction

import pytest

from tpufi.cli.model import COMMAND
from tpufi.errors import InputError
from tpufi.faults.catalogue import any_fault_model
from tpufi.faults.elements import Channel, Groups, Runs
from tpufi.faults.error_model import error_model_of
from tpufi.faults.error_model_csv import import_csv
from tpufi.faults.measured_values import Bias, Carry, NonFinite, Xor
from tpufi.faults.values import (
    Constant,
    FlipBits,
)

ROWS = """\
weight,elements,value
120,one,0x00400000
31,one,0x00400000
14,one,0x80000000
7,run:4,0x1 0x2 0x4 0x8
60,one,zero
22,runs:4:64:16,zero
9,one,flip:2
5.5,one,carry
4.5,one,missing_carry
3,one,non_finite
2,channel,bias:1e-2
1,,random
"""


def imported(tmp_path, text, dtype="float32"):
    file = tmp_path / "beam.csv"
    file.write_text(text, "utf-8")
    return import_csv(file, dtype, "output", "beam.toml")


def test_12_rows_are_11_classes_with_the_weights_of_the_file(tmp_path):
    found = imported(tmp_path, ROWS)
    assert found.rows == 12
    parts = {c.name: (c.weight, c.extent, c.rule) for c in found.model.classes}
    assert parts["0x400000"] == (151, Groups(), Xor((0x400000,), "float32"))
    words = Xor((1, 2, 4, 8), "float32")
    assert parts["0x1 0x2 0x4 0x8, run:4"] == (7, Groups(4), words)
    assert parts["zero, runs:4:64:16"] == (22, Runs(4, 64, 16), Constant(0))
    assert parts["flip:2"] == (9, Groups(), FlipBits(2))
    assert parts["carry"] == (Fraction(11, 2), Groups(), Carry())
    assert parts["missing_carry"][2] == Carry(missing=True)
    assert parts["non_finite"][2] == NonFinite()
    assert parts["bias:1e-2, channel"] == (2, Channel(), Bias(0.01))
    assert len(parts) == 11 and sum(weight for weight, _, _ in parts.values()) == 279
    assert found.model.target == "output"


def test_the_report_says_what_was_understood_and_what_is_not_known(tmp_path):
    lines = imported(tmp_path, ROWS).report()
    assert lines[0] == (
        "12 rows, weights add up to 279; 11 classes, 1 row merged with their like"
    )
    assert lines[1].startswith("values: xor 0.616, zero 0.294, flip 0.0323, carry")
    assert lines[2] == "elements: one 0.889, runs 0.0789, run 0.0251, channel 0.00717"
    assert "   54.122%  0x400000" in lines
    assert "not known: in which operations: sites are drawn by the plan" in lines


def test_the_command_writes_a_fault_model(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = imported(tmp_path, ROWS)
    assert COMMAND.main(["import", "beam.csv", "--out", "beam.toml"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("12 rows") and "tpufi draw --models beam.toml" in out
    written = error_model_of(any_fault_model("beam.toml"))
    assert written.classes == found.model.classes and written.target == "any"
    with pytest.raises(InputError, match=r"--out beam: the name .* ends in .toml; add"):
        COMMAND.main(["import", "beam.csv", "--out", "beam"])


def test_columns_have_any_order_and_weights_are_exact(tmp_path):
    text = '\ufeffvalue,weight\n"zero",0.1\ncarry,0.2\n\nzero,123456789.000001\n'
    model = imported(tmp_path, text).model
    weights = [c.weight for c in model.classes]
    assert weights == [Fraction("123456789.100001"), Fraction("0.2")]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (ROWS, "", "beam.csv: empty; expected a header"),
        (ROWS, "weight,value\n", "beam.csv: a header without rows; add at least one"),
        ("weight,", "wait,", "beam.csv:1: unknown column 'wait'; known, nearest first"),
        ("elements,", "weight,", "beam.csv:1: column weight twice"),
        ("elements,value", "elements", "beam.csv:1: no column 'value'"),
        ("60,one,zero", "60,zero", "beam.csv:6: 2 cells; expected 3, those of the he"),
        ("60,one", "-60,one", "beam.csv:6: weight '-60'; expected a number above 0"),
        ("60,one", "0,one", "beam.csv:6: weight '0'; expected a number above 0"),
        ("60,one", "many,one", "beam.csv:6: weight 'many'; expected a number above 0"),
        ("one,zero", "one,zeros", "beam.csv:6: value 'zeros'; expected one of zero"),
        ("one,zero", "one,xor", "beam.csv:6: value 'xor'; expected one of"),
        ("one,zero", "two,zero", "beam.csv:6: elements 'two'; expected one of"),
        ("one,zero", "run,zero", "beam.csv:6: elements 'run'; expected run:SIZE"),
        ("one,zero", "run:0,zero", "beam.csv:6: size: '0'; expected a whole number of"),
        ("one,zero", "run:x,zero", "beam.csv:6: elements 'run:x': 'x' is no number"),
        ("16,zero", "1.5,zero", "beam.csv:7: most: '1.5'; expected a whole number"),
        ("4:64:16", "4:2:16", "beam.csv:7: 16 runs of 4 elements every 2; choose"),
        ("flip:2", "flip:2:3", "beam.csv:8: value 'flip:2:3'; expected flip:BITS"),
        ("flip:2", "flip:0", "beam.csv:8: bits: '0'; expected a number of bits"),
        ("0x80000000", "0x180000000", "beam.csv:4: word 0x180000000 to xor; expected"),
        ("0x80000000", "0x0", "beam.csv:4: word 0x0 to xor; expected 0x1 to 0xffffff"),
        ("0x80000000", "0xZ", "beam.csv:4: value '0xZ'; expected XOR words, each 0x"),
        ("run:4,0x1", "channel,0x1", "beam.csv:5: fault model of channel and 0x1 0x2"),
        ("bias:1e-2", "bias:0", "beam.csv:12: bias 0.0; choose a number that is not 0"),
        ("channel", "chan\x00nel", "beam.csv:"),
        ("one,zero", 'one,"zero', "beam.csv: cannot read: "),
    ],
)
def test_a_broken_file_is_one_line_with_row_value_bound_and_remedy(
    old, new, message, tmp_path
):
    assert old in ROWS
    with pytest.raises(InputError) as error:
        imported(tmp_path, ROWS.replace(old, new, 1))
    found = str(error.value).removeprefix(f"{tmp_path}/")
    assert found.startswith(message) and "\n" not in found, found


def test_an_element_type_that_nobody_knows_is_told(tmp_path):
    with pytest.raises(InputError, match="'float31' is no element type; known"):
        imported(tmp_path, ROWS, "float31")
    with pytest.raises(InputError, match="beam.csv:2: word 0x400000 to xor; expected"):
        imported(tmp_path, ROWS, "bfloat16")
