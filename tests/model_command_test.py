# SPDX-License-Identifier: Apache-2.0
"""tpufi model: list, show and check; import is tested with the reader of CSV files."""

import re

import pytest

from tpufi.cli.model import COMMAND, TARGETS
from tpufi.errors import InputError
from tpufi.faults import fault_model
from tpufi.faults.error_model_file import TABLES


def said(capsys, *options) -> list[str]:
    assert COMMAND.main([*options]) == 0
    return capsys.readouterr().out.splitlines()


def test_the_list_has_every_table_with_its_title(capsys):
    assert [line.split()[0] for line in said(capsys, "list")] == [*TABLES]
    assert TARGETS == fault_model.TARGETS


@pytest.mark.parametrize("name", TABLES)
def test_a_table_shows_its_source_its_classes_and_what_is_not_known(name, capsys):
    lines = said(capsys, "show", name)
    assert lines[1].startswith("source: ") and lines[2].startswith("target: ")
    shares = [
        float(line.split("%")[0]) for line in lines if re.match(r" *[\d.]+%", line)
    ]
    assert sum(shares) == pytest.approx(100, abs=0.01) and len(shares) >= 3
    assert sum(line.startswith("caveat: ") for line in lines) >= 3


def test_the_check_prints_each_class_with_its_deviation(capsys):
    COMMAND.main(["check", "AEGIS", "--draws", "6000", "--seed", "8"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["table", "drawn", "deviation", "class"]
    for line, name in zip(
        lines[1:], ("near zero", "wrong sign", "infinite"), strict=False
    ):
        table, drawn, deviation, *words = line.split()
        assert table == "33.333%" and name in " ".join(words)
        difference = float(drawn[:-1]) - float(table[:-1])
        assert float(deviation[:-1]) == pytest.approx(difference, abs=0.0011)
    assert lines[-1].startswith("6000 draws of seed 8: largest deviation ")


def test_too_large_a_deviation_is_an_exit_code(capsys):
    assert COMMAND.main(["check", "V_ABFT", "--draws", "50"]) == 1
    assert "beyond the bound of 0.2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["show", "ANATOMI"],
            "unknown error model 'ANATOMI'; expected one of: ANATOMY",
        ),
        (["show", "FLIP"], "unknown error model 'FLIP'; expected one of"),
        (["check", "no.toml"], "no.toml: cannot read the error model: No such file"),
        (["check", "AEGIS", "--seed", str(1 << 64)], "expected a seed below 2\\*\\*64"),
        (["import", "no.csv", "--out", "a.toml"], "no.csv: cannot read: No such file"),
        (
            ["import", "no.csv", "--out", "a.toml", "--dtype", "f32"],
            "'f32' is no element type; known",
        ),
    ],
)
def test_wrong_input_is_one_line(options, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message) as error:
        COMMAND.main(options)
    assert "\n" not in str(error.value)
