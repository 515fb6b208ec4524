# SPDX-License-Identifier: Apache-2.0
"""The cells of an injection file: text to values, numbers to text."""

import math
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import numpy as np

from tpufi.faults.injection_file import FieldError
from tpufi.messages import quote

_INTEGER = re.compile(r"[+-]?[0-9]{1,20}")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,6})?")
_BEYOND = 2.0**128  # Where the float32 after the largest one would be.
_NOT_FINITE = ("inf", "-inf", "nan")
_LONGEST_NUMBER = 64
_POSITION = re.compile(r"[0-9]{1,10}(/[0-9]{1,10})*")
_NATURAL = re.compile(r"[0-9]{1,18}")
_WORD = re.compile(r"0[xX][0-9a-fA-F]{1,16}")
_BITS = re.compile(r"0[xX][0-9a-fA-F]{8}")


def number_text(number: float) -> str:
    """Write a number as the artefact does: 15 digits, exponent form from 1e12 on.

    A number that 15 digits do not determine is written with all it needs.
    """
    text = f"{number:.15g}"
    if 1e12 <= abs(number) < 1e15:
        mantissa, exponent = f"{number:.14e}".split("e")
        text = f"{mantissa.rstrip('0').rstrip('.')}e{exponent}"
    same = math.isnan(number) or float(text) == number
    return text if same else repr(float(number))


def _one_cell(key: str, cells: list[str]) -> str:
    if len(cells) != 1 or not cells[0]:
        found = "no value" if not any(cells) else f"{len(cells)} values"
        raise FieldError(
            key, f"{found}; expected exactly one; write {key},VALUE without more commas"
        )
    return cells[0]


def _many_cells(key: str, cells: list[str]) -> list[str]:
    if not any(cells):
        raise FieldError(key, f"no value; expected at least one; write {key},VALUE,...")
    if "" in cells:
        raise FieldError(
            key,
            f"value {cells.index('') + 1} is empty; expected no empty cells; remove "
            "the surplus comma",
        )
    return cells


def _integer(key: str, cells: list[str]) -> int:
    cell = _one_cell(key, cells)
    if not _INTEGER.fullmatch(cell):
        raise FieldError(
            key,
            f"{quote(cell)} is not a whole number; expected digits only; write "
            f"{key},7 for example",
        )
    return int(cell)


def _once_rounded(cell: str) -> float:
    """Return a number whose float32 is the nearest to a decimal, ties to even.

    The nearest double may lie between two of float32 where the decimal does not.
    """
    value = float(cell)
    with np.errstate(over="ignore"):
        near = float(np.float32(value))
    if math.isinf(near):
        near = math.copysign(_BEYOND, near)
    if near == value or not math.isfinite(value):
        return value
    with np.errstate(over="ignore"):
        side = np.float32(math.copysign(math.inf, value - near))
        other = float(np.nextafter(np.float32(near), side))
    if near + other != 2 * value:
        return value
    exact = Fraction(cell)
    if exact == value:
        return value
    return math.nextafter(value, math.copysign(math.inf, exact - Fraction(value)))


def _number(key: str, cell: str, number: int) -> float:
    if cell in _NOT_FINITE:
        return float(cell)
    if len(cell) > _LONGEST_NUMBER or not _NUMBER.fullmatch(cell):
        raise FieldError(
            key,
            f"value {number} ({quote(cell)}) is not a number; expected a decimal "
            f"number of at most {_LONGEST_NUMBER} characters, inf, -inf or nan; write "
            "it like 1.5, -2e-3 or inf",
        )
    value = _once_rounded(cell)
    if math.isinf(value):
        raise FieldError(
            key,
            f"value {number} ({cell}) is too large; expected at most 3.4028235e+38 in "
            "magnitude; write inf or -inf for an infinity",
        )
    return value


def _numbers(key: str, cells: list[str]) -> tuple[float, ...]:
    cells = _many_cells(key, cells)
    return tuple(_number(key, cell, i) for i, cell in enumerate(cells, start=1))


def _matching(
    key: str, cells: list[str], form: re.Pattern, noun: str, wrong: str
) -> list[str]:
    """Return the cells, at least one; each has to have a form."""
    cells = _many_cells(key, cells)
    for number, cell in enumerate(cells, start=1):
        if not form.fullmatch(cell):
            raise FieldError(key, f"{noun} {number} ({quote(cell)}) {wrong}")
    return cells


def _positions(key: str, cells: list[str]) -> tuple[tuple[int, ...], ...]:
    wrong = (
        "is not an index; expected whole numbers from 0 joined by slashes; write it "
        "like 107/3/3/85"
    )
    cells = _matching(key, cells, _POSITION, "position", wrong)
    return tuple(tuple(map(int, cell.split("/"))) for cell in cells)


def _bits(key: str, cells: list[str]) -> tuple[int, ...]:
    wrong = (
        "is not a float32 bit pattern; expected 0x and 8 hexadecimal digits; write it "
        "like 0x3f800000"
    )
    cells = _matching(key, cells, _BITS, "pattern", wrong)
    return tuple(int(cell, 16) for cell in cells)


def _whole_numbers(key: str, cells: list[str]) -> tuple[int, ...]:
    wrong = (
        f"is not a whole number from 0; expected digits only; write {key},7 for example"
    )
    return tuple(map(int, _matching(key, cells, _NATURAL, "value", wrong)))


def _words(key: str, cells: list[str]) -> tuple[int, ...]:
    wrong = (
        "is not a bit pattern; expected 0x and 1 to 16 hexadecimal digits; write it "
        "like 0x3f800000"
    )
    cells = _matching(key, cells, _WORD, "word", wrong)
    return tuple(int(cell, 16) for cell in cells)


_SHAPES = {"scalar": (), "unknown": None}


def _shape(key: str, cells: list[str]) -> tuple[int, ...] | None:
    if len(cells) == 1 and cells[0] in _SHAPES:
        return _SHAPES[cells[0]]
    return _whole_numbers(key, cells)


def shape_cells(shape: tuple[int, ...] | None) -> list[str]:
    """Return the cells of a shape: its sizes, or a word for one without any."""
    named = [name for name, known in _SHAPES.items() if known == shape]
    return named or list(map(str, shape))


def _truth(key: str, cells: list[str]) -> bool:
    cell = _one_cell(key, cells)
    if cell not in ("yes", "no"):
        raise FieldError(key, f"{quote(cell)}; expected yes or no; write {key},yes")
    return cell == "yes"


def _rate(key: str, cells: list[str]) -> float:
    return _number(key, _one_cell(key, cells), 1)


# The keys in the order of the artefact's files, ours at the end.
PARSERS: Mapping[str, Callable[[str, list[str]], Any]] = MappingProxyType(
    {
        "model": _one_cell,
        "stage": _one_cell,
        "fmodel": _one_cell,
        "target_worker": _integer,
        "target_layer": _one_cell,
        "target_epoch": _integer,
        "target_step": _integer,
        "inj_pos": _positions,
        "inj_values": _numbers,
        "learning_rate": _rate,
        "seed": _integer,
        "inj_bits": _bits,
    }
)
# The keys of a file that names its site: a drawn fault of any model.
DRAWN_PARSERS: Mapping[str, Callable[[str, list[str]], Any]] = MappingProxyType(
    {
        "model": _one_cell,
        "site": _one_cell,
        "dtype": _one_cell,
        "shape": _shape,
        "fmodel": _one_cell,
        "target_worker": _integer,
        "target_epoch": _integer,
        "target_step": _integer,
        "duration": _integer,
        "elements": _whole_numbers,
        "operation": _one_cell,
        "keep": _words,
        "words": _words,
        "affected_outputs": _whole_numbers,
        "stale": _truth,
        "iterations": _whole_numbers,
        "when": lambda _, cells: ",".join(cells),
        "learning_rate": _rate,
    }
)
SITE = "site"
