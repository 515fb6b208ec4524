# SPDX-License-Identifier: Apache-2.0
"""A table that names the variable of each weight: regular expressions in a CSV file."""

import csv
import dataclasses
import io
import pathlib
import re
from collections.abc import Mapping, Sequence

from tpufi.contrib.isca23.checkpoint.matching import Assignment
from tpufi.contrib.isca23.checkpoint.object_graph import Checkpoint, Variable
from tpufi.errors import InputError
from tpufi.messages import nearest_first, one_line, quote, show_path
from tpufi.untrusted import regular_expression
from tpufi.workload import Workload

_HEADER = ["checkpoint", "weight"]
_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class Row:
    r"""One line of a mapping.

    Args:
      pattern: matches the whole path of a variable.
      weight: name of our weight; `\1` is the first group of the pattern.
      line: line in the file.
    """

    pattern: re.Pattern
    weight: str
    line: int


def read_mapping(path: str | pathlib.Path) -> tuple[Row, ...]:
    r"""Read a mapping.

    The file is CSV with the header `checkpoint,weight`, for example

        checkpoint,weight
        layer(\d)/(\d)/conv(\d)/kernel,basicblock_\1_basic_\2_conv\3/kernel

    Raises:
      InputError: the file cannot be read, or a line cannot be used.
    """
    where = show_path(path)
    try:
        text = pathlib.Path(path).read_text(encoding="utf-8")
        lines = list(csv.reader(io.StringIO(text), strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{where}: cannot be read ({one_line(error)}); name a CSV file with the "
            f"header {','.join(_HEADER)}"
        ) from None
    if not lines or lines[0] != _HEADER:
        raise InputError(
            f"{where}:1: expected the header {','.join(_HEADER)}; --print-mapping "
            "writes a file to start from"
        )
    rows = []
    for number, cells in enumerate(lines[1:], 2):
        if not cells:
            continue
        if len(cells) != len(_HEADER):
            raise InputError(
                f"{where}:{number}: has {len(cells)} cells, expected "
                f"{','.join(_HEADER)}; quote a pattern with a comma in it"
            )
        try:
            pattern = regular_expression(cells[0])
        except re.error as error:
            raise InputError(
                f"{where}:{number}: {quote(cells[0])} is no regular expression "
                f"({one_line(error)}); escape special characters with a backslash"
            ) from None
        rows.append(Row(pattern, cells[1], number))
    return tuple(rows)


def by_mapping(
    checkpoint: Checkpoint,
    workload: Workload,
    rows: Sequence[Row],
    source: str | pathlib.Path,
) -> Assignment:
    """Return the variable of each of our weights, as a mapping names it.

    Args:
      checkpoint: its variables, each of which exactly one row has to match.
      workload: its weights, each of which has to be named once.
      rows: the mapping.
      source: the mapping's file, for messages.

    Raises:
      InputError: a variable or a weight has no match or several, or a shape differs.
    """
    where = show_path(source)
    shapes = {w.name: w.shape for w in (*workload.parameters, *workload.statistics)}
    assignment: Assignment = {}
    lost = []
    for variable in checkpoint.variables:
        matching = [
            (row, match)
            for row in rows
            if (match := row.pattern.fullmatch(variable.path))
        ]
        if not matching:
            lost.append(f"{variable.path} {variable.shape}")
            continue
        if len(matching) > 1:
            numbers = " and ".join(str(row.line) for row, _ in matching[:2])
            raise InputError(
                f"{where}: lines {numbers} both match {variable.path}; make one "
                "stricter"
            )
        row, match = matching[0]
        name = _expanded(row, match, where)
        if name not in shapes:
            raise InputError(
                f"{where}:{row.line}: {variable.path} becomes {quote(name)}, which is "
                f"no weight of {workload.name}; nearest: "
                f"{nearest_first(name, shapes, limit=3)}"
            )
        if name in assignment:
            raise InputError(
                f"{where}:{row.line}: {variable.path} becomes {name}, and so does "
                f"{assignment[name].path}; tell them apart"
            )
        if shapes[name] != variable.shape:
            raise InputError(
                f"{where}:{row.line}: expected {name} {shapes[name]}, found "
                f"{variable.path} {variable.shape}; correct the line"
            )
        assignment[name] = variable
    if missing := [f"{n} {s}" for n, s in shapes.items() if n not in assignment]:
        raise InputError(
            f"{where}: expected a variable for {_some(missing)}; found without a line: "
            f"{_some(lost) or 'none'}; add lines"
        )
    if lost:
        raise InputError(
            f"{where}: no line matches {_some(lost)}; leave them out with --ignore"
        )
    return assignment


def format_mapping(assignment: Mapping[str, Variable]) -> str:
    """Return the mapping that gives an assignment, a line for each weight."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_HEADER)
    for weight, variable in assignment.items():
        writer.writerow((re.escape(variable.path), weight))
    return text.getvalue().rstrip("\n")


def _expanded(row: Row, match: re.Match, where: str) -> str:
    try:
        return match.expand(row.weight)
    except (re.error, IndexError) as error:
        raise InputError(
            f"{where}:{row.line}: {quote(row.weight)} cannot be filled in "
            f"({one_line(error)}); \\1 is the first group in parentheses"
        ) from None


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return (
        shown if len(names) <= _SHOWN else f"{shown} (and {len(names) - _SHOWN} more)"
    )
