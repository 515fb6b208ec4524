# SPDX-License-Identifier: Apache-2.0
"""docs/features.md names what is there: functions, commands, files and tests."""

import ast
import functools
import pkgutil
import re

import pytest

from tests.docs_blocks import ROOT
from tpufi.cli.main import program_parser

ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs" / "features.md").read_text().splitlines()
    if re.match(r"\| [0-9]", line)
]
FOLDERS = (
    "WORKSPACE", "BUILD", "cc/ops", "python/tpufi", "models", "injections", "tests",
    "tools",
)  # fmt: skip


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


@functools.cache
def named_in(file: str) -> set[str]:
    tree = ast.parse((ROOT / "tests" / f"{file}_test.py").read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def check(what: str) -> None:
    """Raise unless what a row names is there."""
    if what.startswith("tpufi "):
        with pytest.raises(SystemExit) as ended:
            program_parser().parse_args([*what.split()[1:], "--help"])
        assert ended.value.code == 0
    elif what.startswith("tpufi."):
        pkgutil.resolve_name(what)
    elif what.startswith("//:"):
        assert f'    name = "{what[3:]}",\n' in (ROOT / "BUILD").read_text()
    else:
        assert (ROOT / what).exists()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[1][:60])
def test_what_does_a_feature_and_its_tests_are_there(row):
    _, _, done_by, tests = row
    assert quoted(done_by) and quoted(tests)
    for what in quoted(done_by):
        check(what)
    for name in quoted(tests):
        file, _, test = name.partition("::")
        assert f"test_{test}" in named_in(file), name


def test_no_feature_is_missing():
    assert [int(row[0]) for row in ROWS] == sorted(int(row[0]) for row in ROWS)
    assert {int(row[0]) for row in ROWS} == set(range(1, 32))


def test_the_folders_asked_for_are_there():
    for name in FOLDERS:
        assert (ROOT / name).exists(), name
