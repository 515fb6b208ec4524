# SPDX-License-Identifier: Apache-2.0
"""Makes an error model of a CSV of results: of RTL, gate-level or beam experiments."""

import collections
import csv
import decimal
import json
import pathlib
import re
from collections.abc import Mapping
from fractions import Fraction
from typing import NamedTuple

from tpufi.element import ELEMENTS
from tpufi.errors import InputError
from tpufi.faults.error_model import ErrorModel
from tpufi.faults.error_model_file import (
    ELEMENTS_OF,
    MOST_CLASSES,
    VALUES,
    parse_error_model,
)
from tpufi.faults.fault_model import FaultModel
from tpufi.faults.toml_keys import Keys
from tpufi.messages import counted, nearest_first, printable, quote, show_path
from tpufi.untrusted import read_bounded, reading

_LONGEST = 1 << 24  # Bytes.
_COLUMNS = ("weight", "elements", "value")
# What stands behind the colons of a cell.
_PARAMETERS: Mapping[str, tuple[str, ...]] = {
    "flip": ("bits",),
    "constant": ("number",),
    "bias": ("by",),
    "run": ("size",),
    "runs": ("size", "period", "most"),
}
_WEIGHT = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?")
_WORDS = re.compile(r"0x[0-9a-fA-F]{1,16}( 0x[0-9a-fA-F]{1,16})*")
_XOR = "0x... 0x..."  # XOR words, among the known values.


class Imported(NamedTuple):
    """What was understood of a file.

    Args:
      model: the error model; `model.text` is its file.
      rows: rows of results.
      values: kind of value -> its weight.
      elements: kind of elements -> its weight.
    """

    model: ErrorModel
    rows: int
    values: Mapping[str, Fraction]
    elements: Mapping[str, Fraction]

    def report(self) -> list[str]:
        """Return lines that say what was understood and what is not in the file."""
        classes = self.model.shares
        merged = self.rows - len(classes)
        weights = sum(one.weight for one in self.model.classes)
        lines = [
            f"{counted(self.rows, 'row')}, weights add up to {_decimal(weights)}; "
            f"{len(classes)} classes, {counted(merged, 'row')} merged with their like",
            f"values: {_shares(self.values)}",
            f"elements: {_shares(self.elements)}",
            *(f"  {float(share):8.3%}  {name}" for name, share in classes.items()),
            *(f"not known: {caveat}" for caveat in self.model.caveats),
        ]
        return lines


def import_csv(
    path: str | pathlib.Path, dtype: str, target: str, name: str
) -> Imported:
    """Read a CSV of results as an error model.

    Args:
      path: file with a header and the columns `weight`, `value` and, if not every error
        has one element, `elements`; at most 16 MiB.
      dtype: element type that XOR words are of.
      target: operand that faults are injected into, one of `fault_model.TARGETS`.
      name: of the fault model.

    Returns:
      The model and what was understood. Rows of equal elements and value are one class.

    Raises:
      InputError: the file cannot be read, or a cell is wrong; the message begins with
        `file:line`.
    """
    if dtype not in ELEMENTS:
        raise InputError(
            f"dtype {quote(dtype)} is no element type; known, nearest first: "
            f"{nearest_first(dtype, ELEMENTS)}; write one of these"
        )
    shown = show_path(path)
    remedy = "docs/how_to/measured_errors.md has an example; save it as CSV in UTF-8"
    with reading(shown, remedy):
        lines = read_bounded(path, _LONGEST).decode("utf-8-sig").splitlines()
        reader = csv.reader(lines, strict=True)
        rows = [(reader.line_num, row) for row in reader]
    if not rows or not rows[0][1]:
        raise InputError(
            f"{shown}: empty; expected a header and rows of {', '.join(_COLUMNS)}"
        )
    columns = _header(f"{shown}:{rows[0][0]}", rows[0][1])
    classes: dict[tuple[str, str], Fraction] = collections.defaultdict(Fraction)
    count = 0
    for line, row in rows[1:]:
        if not row:
            continue
        where = f"{shown}:{line}"
        cells = _cells(where, columns, row)
        classes[_key(where, cells, dtype)] += _weight(where, cells["weight"])
        count += 1
    if not classes:
        raise InputError(f"{shown}: a header without rows; add at least one")
    if len(classes) > MOST_CLASSES:
        raise InputError(
            f"{shown}: {len(classes)} different errors; expected at most "
            f"{MOST_CLASSES}; put XOR words that are alike into a class as flip:N"
        )
    text = _text(printable(pathlib.Path(path).name), classes, dtype, target)
    kinds: tuple[dict[str, Fraction], ...] = (
        collections.defaultdict(Fraction),
        collections.defaultdict(Fraction),
    )
    for key, weight in classes.items():
        for kind, cell in zip(kinds, key, strict=True):
            kind["xor" if cell.startswith("0x") else cell.split(":")[0]] += weight
    return Imported(parse_error_model(text, name, shown), count, *kinds)


def _header(where: str, row: list[str]) -> list[str]:
    columns = [cell.strip() for cell in row]
    for column in columns:
        if column not in _COLUMNS:
            raise InputError(
                f"{where}: unknown column {quote(column)}; known, nearest first: "
                f"{nearest_first(column, _COLUMNS)}; rename or remove it"
            )
        if columns.count(column) > 1:
            raise InputError(f"{where}: column {column} twice; remove one of the two")
    for column in ("weight", "value"):
        if column not in columns:
            raise InputError(
                f"{where}: no column {column!r}; expected {', '.join(_COLUMNS)}; add it"
            )
    return columns


def _cells(where: str, columns: list[str], row: list[str]) -> dict[str, str]:
    if len(row) != len(columns):
        raise InputError(
            f"{where}: {len(row)} cells; expected {len(columns)}, those of the header; "
            "add or remove cells"
        )
    cells = {c: cell.strip() for c, cell in zip(columns, row, strict=True)}
    return {"elements": "one"} | cells


def _weight(where: str, cell: str) -> Fraction:
    if not _WEIGHT.fullmatch(cell) or not Fraction(cell):
        raise InputError(
            f"{where}: weight {quote(cell)}; expected a number above 0, e.g. 12 or "
            "0.25; correct it, or remove the row"
        )
    return Fraction(cell)


def _key(where: str, cells: dict[str, str], dtype: str) -> tuple[str, str]:
    """Return value and elements of a row, checked, in their canonical spelling."""
    value, elements = cells["value"], cells["elements"] or "one"
    if value.startswith("0x"):
        if not _WORDS.fullmatch(value):
            raise InputError(
                f"{where}: value {quote(value)}; expected XOR words, each 0x and 1 to "
                "16 hexadecimal digits, with a space between two; correct it"
            )
        value = " ".join(hex(int(word, 16)) for word in value.split(" "))
    keys = _keys(where, "value", value, (*VALUES, _XOR))
    keys |= _keys(where, "elements", elements, tuple(ELEMENTS_OF))
    try:
        asked = Keys(where, keys)
        rule = VALUES[str(keys["value"])](asked, dtype)
        extent = ELEMENTS_OF[str(keys["elements"])](asked)
        FaultModel(f"of {elements} and {value}", "any", extent, rule)
    except InputError as error:
        text = str(error)
        raise InputError(
            text if text.startswith(where) else f"{where}: {text}"
        ) from None
    return value, elements


def _keys(
    where: str, column: str, cell: str, known: tuple[str, ...]
) -> dict[str, object]:
    """Return the keys of a file for a cell such as `runs:4:64:16`."""
    if column == "value" and cell.startswith("0x"):
        return {"value": "xor", "words": [int(w, 16) for w in cell.split(" ")]}
    kind, *given = cell.split(":")
    if kind not in known or kind == "xor":
        others = [name for name in known if name != "xor"]
        raise InputError(
            f"{where}: {column} {quote(cell)}; expected one of "
            f"{nearest_first(kind, others)}; correct it"
        )
    names = _PARAMETERS.get(kind, ())
    needed = names if kind != "flip" else ()  # Without a number it is one bit.
    if not len(needed) <= len(given) <= len(names):
        form = ":".join((kind, *(name.upper() for name in names)))
        raise InputError(
            f"{where}: {column} {quote(cell)}; expected {form}; correct it"
        )
    return {column: kind} | {
        name: _parameter(where, column, cell, text)
        for name, text in zip(names, given, strict=False)
    }


def _parameter(where: str, column: str, cell: str, text: str) -> int | Fraction:
    if re.fullmatch(r"-?[0-9]{1,9}", text):
        return int(text)
    if re.fullmatch(r"-?[0-9]{1,9}\.[0-9]{1,12}", text):
        return Fraction(text)
    if re.fullmatch(r"-?[0-9]{1,2}(\.[0-9]{1,9})?e-?[0-9]", text):
        return Fraction(text)
    raise InputError(
        f"{where}: {column} {quote(cell)}: {quote(text)} is no number; write e.g. 4 or "
        "0.001"
    )


def _text(
    file: str, classes: Mapping[tuple[str, str], Fraction], dtype: str, target: str
) -> str:
    """Return the TOML file of an error model."""
    caveats = [
        "how often there is an error, and when: the weights are of errors alone",
        "in which operations: sites are drawn by the plan",
    ]
    has_words = any(value.startswith("0x") for value, _ in classes)
    if has_words:
        caveats.append(f"what other types than {dtype} do: XOR words are of {dtype}")
    lines = [
        f"title = {_quoted(f'Imported from {file}')}",
        f"source = {_quoted(file)}",
        f"caveats = [{', '.join(map(_quoted, caveats))}]",
        f"target = {_quoted(target)}",
        *([f"dtype = {_quoted(dtype)}"] if has_words else []),
        f"total = {_decimal(sum(classes.values()))}",
    ]
    for (value, elements), weight in classes.items():
        name = value if elements == "one" else f"{value}, {elements}"
        keys = _keys("", "value", value, (*VALUES, _XOR))
        keys |= _keys("", "elements", elements, tuple(ELEMENTS_OF))
        lines += ["", "[[class]]", f"name = {_quoted(name)}"]
        lines += [f"weight = {_decimal(weight)}"]
        lines += [f"{key} = {_toml(one)}" for key, one in keys.items()]
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, list):
        return f"[{', '.join(map(hex, value))}]"
    return _decimal(Fraction(value))


def _quoted(text: str) -> str:
    """Return text as a basic string, whose escapes TOML and JSON share."""
    return json.dumps(text, ensure_ascii=False)


def _decimal(number: Fraction) -> str:
    """Return a number of few digits in full."""
    with decimal.localcontext() as context:
        context.prec = 60
        exact = decimal.Decimal(number.numerator) / number.denominator
    return f"{exact:f}"


def _shares(weights: Mapping[str, Fraction]) -> str:
    total = sum(weights.values())
    largest = sorted(weights.items(), key=lambda pair: -pair[1])
    return ", ".join(f"{name} {float(w / total):.3g}" for name, w in largest)
