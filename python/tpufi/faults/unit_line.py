# SPDX-License-Identifier: Apache-2.0
"""Reads what `BrokenUnit.line` and `unit_text` write, strictly."""

import json
import re

from tpufi.errors import InputError
from tpufi.faults.broken_unit import BrokenUnit, kind_text
from tpufi.messages import quote
from tpufi.units import (
    Link,
    MemoryAddress,
    ProcessingElement,
    SavedActivation,
    Unit,
    UnitFault,
    VectorLane,
)
from tpufi.when_text import parse_when

_TEXTS = ("model", "unit", "operation", "keep", "word", "when")
_NUMBERS = ("replica", "epoch", "step")
_ARRAY = re.compile(r"([0-9]{1,6})x([0-9]{1,6})/([a-z]{1,20})/([a-z]{1,20})")
_PLACE = re.compile(r"[0-9]{1,15}(?:[,/][0-9]{1,15})?")
_HEX = re.compile(r"0x(0|[1-9a-f][0-9a-f]{0,15})")
_LONGEST, _LATEST = 1 << 12, 1 << 31
_FORM = (
    "pe:128x128/output/output@ROW,COLUMN, lane@LANE,SUBLANE, memory:TENSOR@INDEX, "
    "saved:LAYER@INDEX or link:ERROR@CHUNK/CHUNKS"
)


def parse_unit(text: str) -> Unit:
    """Return the unit of a text that `unit_text` wrote.

    Raises:
      InputError: it is none, or the unit is unknown.

    Example:
      >>> parse_unit("link:twice@1/4")
      Link(error='twice', chunk=1, chunks=4)
    """
    head, at, place = text.rpartition("@")
    kind, _, of = head.partition(":")
    array = _ARRAY.fullmatch(of)
    if at and _PLACE.fullmatch(place):
        numbers = [int(number) for number in re.split("[,/]", place)]
        match kind, len(numbers), "/" in place:
            case "pe", 2, False if array:
                rows, columns, dataflow, register = array.groups()
                size = int(rows), int(columns)
                return ProcessingElement(*size, dataflow, register, *numbers)
            case "lane", 2, False if not of:
                return VectorLane(*numbers)
            case "memory", 1, _ if of:
                return MemoryAddress(of, *numbers)
            case "saved", 1, _ if of:
                return SavedActivation(of, *numbers)
            case "link", 2, True:
                return Link(of, *numbers)
    raise InputError(f"unit: {quote(text)}; expected {_FORM}; correct it")


def parse_broken_unit(line: str) -> BrokenUnit:
    """Return the unit fault of one line of JSON.

    Args:
      line: of `BrokenUnit.line`, with or without a line end.

    Raises:
      InputError: it is none; the message names the key that is wrong.
    """
    row = _object(line)
    for key in _TEXTS:
        if not isinstance(row[key], str):
            raise _wrong(key, row[key], "a string")
    for key in _NUMBERS:
        if type(row[key]) is not int or not -1 <= row[key] < _LATEST:
            raise _wrong(key, row[key], "a whole number below 2**31")
    for key in ("epoch", "step"):
        if row[key] < 0:
            raise _wrong(key, row[key], "0 or more")
    for key in ("keep", "word"):
        if not _HEX.fullmatch(row[key]):
            raise _wrong(key, row[key], "hexadecimal text of up to 64 bits, like 0x80")
    unit = parse_unit(row["unit"])
    fault = UnitFault(
        unit,
        row["operation"],
        int(row["keep"], 16),
        int(row["word"], 16),
        row["replica"],
        parse_when(row["when"]),
    )
    site = kind_text(unit)
    return BrokenUnit(row["model"], site, row["epoch"], row["step"], fault)


def _object(line: str) -> dict:
    known = {*_TEXTS, *_NUMBERS}
    row = None
    if len(line) <= _LONGEST:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
    if not isinstance(row, dict) or row.keys() != known:
        raise InputError(
            f"unit: {quote(line)}; expected one JSON object with the keys "
            f"{', '.join((*_TEXTS, *_NUMBERS))}, as tpufi draw writes it"
        )
    return row


def _wrong(key: str, value: object, expected: str) -> InputError:
    return InputError(f"unit: {key}: {quote(value)}; expected {expected}; correct it")
