# SPDX-License-Identifier: Apache-2.0
"""Injection files: reading them strictly, writing them byte for byte."""

import os
import pathlib
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from tpufi.errors import InputError
from tpufi.fault import AffectedOutputs, Elements, Fault, Strided, listed_runs
from tpufi.faults.cells import DRAWN_PARSERS, PARSERS, SITE, number_text, shape_cells
from tpufi.faults.injection import Injection
from tpufi.faults.injection_file import (
    PROGRAM,
    DrawnInjection,
    FieldError,
    InjectionFile,
)
from tpufi.io import atomic_write
from tpufi.messages import nearest_first, one_line, quote, show_path
from tpufi.site_table import SiteTable
from tpufi.when import When
from tpufi.when_text import parse_when, when_text

MAX_BYTES = 16 * 2**20

_OPTIONAL = ("seed", "inj_bits")
_OPTIONAL_DRAWN = (
    *("duration", "keep", "words", "affected_outputs", "stale", "iterations", "when"),
)
# A program of the user has no schedule of ours.
_OPTIONAL_OF_PROGRAM = (*_OPTIONAL_DRAWN, "learning_rate")


class _Row(NamedTuple):
    line: int
    cells: list[str]


def read_injection(
    path: str | os.PathLike[str],
    sites: Callable[[str], SiteTable] | None = None,
) -> InjectionFile:
    """Read one injection from a CSV file.

    Every row must be a known key with well-formed cells. Nothing is guessed.

    Args:
      path: the file; UTF-8, at most 16 MiB.
      sites: gives the sites of a workload by its name; then the layer, the operand
        and the positions are checked against the faulty tensor. None: only
        what the file itself says is checked.

    Returns:
      The injection.

    Raises:
      InputError: anything is wrong; one line `file:line: what; expected; remedy`.

    Example:
      >>> injection = read_injection("injections/resnet18/inj_masked.csv")
      >>> injection.site_name
      'basicblock_4_basic_0_conv2/forward/weight'
    """
    name = show_path(path)
    return parse_injection(_read_text(path, name), name, sites)


def parse_injection(
    text: str, name: str, sites: Callable[[str], SiteTable] | None = None
) -> InjectionFile:
    """Return the injection of the text of a file.

    Args:
      text: the content.
      name: stands in front of messages.
      sites: see `read_injection`.

    Raises:
      InputError: anything is wrong.
    """
    rows = _rows(text, name)
    drawn = SITE in rows
    parsers = DRAWN_PARSERS if drawn else PARSERS
    try:
        fields = {key: parsers[key](key, row.cells) for key, row in rows.items()}
        injection = _drawn(fields) if drawn else Injection(**fields)
    except FieldError as error:
        raise InputError(f"{name}:{rows[error.field].line}: {error}") from None
    except InputError as error:
        raise InputError(f"{name}:{rows[SITE].line}: {error}") from None
    if sites is None:
        return injection
    try:
        injection.resolve(sites(injection.model))
    except FieldError as error:
        raise InputError(f"{name}:{rows[error.field].line}: {error}") from None
    except InputError as error:
        raise InputError(f"{name}:{rows['model'].line}: {error}") from None
    return injection


def write_injection(injection: InjectionFile, path: str | os.PathLike[str]) -> None:
    """Write an injection to a CSV file, whole or not at all.

    The rows stand in the artefact's order and the numbers in its form, so that a file
    of the artefact that is read and written again is the same, byte for byte.

    Args:
      injection: what to write.
      path: the file; replaced if it exists. Its folder must exist.

    Raises:
      InputError: the file cannot be written there.
    """
    remedy = (
        "expected a path in a writable folder; create the folder or choose another path"
    )
    with atomic_write(Path(path), remedy) as scratch:
        scratch.write_bytes(injection_text(injection).encode("ascii"))


def injection_text(injection: InjectionFile) -> str:
    """Return the content of an injection's file."""
    if isinstance(injection, DrawnInjection):
        rows = _drawn_rows(injection)
    elif isinstance(injection, Injection):
        rows = _artefact_rows(injection)
    else:
        raise TypeError(f"{type(injection).__name__} has no rows")
    return "".join(",".join(row) + "\n" for row in rows)


def _artefact_rows(injection: Injection) -> list[list[str]]:
    rows = [
        ["model", injection.model],
        ["stage", injection.stage],
        ["fmodel", injection.fmodel],
        ["target_worker", str(injection.target_worker)],
        ["target_layer", injection.target_layer],
        ["target_epoch", str(injection.target_epoch)],
        ["target_step", str(injection.target_step)],
        ["inj_pos", *("/".join(map(str, p)) for p in injection.inj_pos)],
        ["inj_values", *map(number_text, injection.inj_values)],
        ["learning_rate", number_text(injection.learning_rate)],
    ]
    if injection.seed is not None:
        rows.append(["seed", str(injection.seed)])
    if injection.inj_bits is not None:
        rows.append(["inj_bits", *(f"{bits:#010x}" for bits in injection.inj_bits)])
    return rows


def _drawn_rows(injection: DrawnInjection) -> list[list[str]]:
    fault = injection.drawn
    places = fault.elements
    if isinstance(places, Strided):
        numbers = (places.start, places.count, places.block, places.stride)
    else:
        runs = ((places.flat[r][0], r.stop - r.start) for r in places.runs())
        numbers = tuple(n for run in runs for n in (*run, run[1], run[1]))
    rows = [
        ["model", injection.model],
        [SITE, fault.site],
        ["dtype", fault.dtype],
        ["shape", *shape_cells(fault.shape)],
        ["fmodel", fault.model],
        ["target_worker", str(fault.replica)],
        ["target_epoch", str(fault.epoch)],
        ["target_step", str(fault.step)],
        ["duration", str(fault.duration)],
        ["elements", *map(str, numbers)],
        ["operation", fault.operation],
    ]
    if fault.keep:
        rows.append(["keep", hex(fault.keep)])
    if fault.words:
        rows.append(["words", *map(hex, fault.words)])
    if fault.affected is not None:
        rows.append(["affected_outputs", *map(str, fault.affected)])
    if fault.stale:
        rows.append(["stale", "yes"])
    if fault.iterations is not None:
        rows.append(["iterations", *map(str, fault.iterations)])
    if fault.when is not None:
        rows.append(["when", *when_text(fault.when).split(",")])
    if injection.learning_rate is not None:
        rows.append(["learning_rate", number_text(injection.learning_rate)])
    return rows


def _drawn(fields: dict[str, Any]) -> DrawnInjection:
    fault = Fault(
        model=fields["fmodel"],
        site=fields[SITE],
        dtype=fields["dtype"],
        shape=fields["shape"],
        replica=fields["target_worker"],
        epoch=fields["target_epoch"],
        step=fields["target_step"],
        duration=fields.get("duration", 1),
        elements=_elements(fields["elements"]),
        operation=fields["operation"],
        keep=_keep(fields.get("keep", (0,))),
        words=fields.get("words", ()),
        affected=_affected(fields.get("affected_outputs")),
        stale=fields.get("stale", False),
        iterations=fields.get("iterations"),
        when=_when(fields.get("when")),
    )
    return DrawnInjection(fields["model"], fault, fields.get("learning_rate"))


def _elements(numbers: tuple[int, ...]) -> Elements:
    if len(numbers) % 4:
        raise FieldError(
            "elements",
            f"{len(numbers)} numbers; expected START,COUNT,BLOCK,STRIDE for each set "
            "of elements; add or remove numbers",
        )
    if len(numbers) == 4:
        return Strided(*numbers)
    return listed_runs([numbers[i : i + 4] for i in range(0, len(numbers), 4)])


def _keep(words: tuple[int, ...]) -> int:
    if len(words) != 1:
        raise FieldError("keep", f"{len(words)} masks; expected one; write keep,0xff")
    return words[0]


def _when(text: str | None) -> When | None:
    try:
        return None if text is None else parse_when(text)
    except InputError as error:
        reason = str(error).removeprefix("when: ")
        raise FieldError("when", reason) from None


def _affected(numbers: tuple[int, ...] | None) -> AffectedOutputs | None:
    if numbers is None:
        return None
    if len(numbers) != 3:
        raise FieldError(
            "affected_outputs",
            f"{len(numbers)} numbers; expected START,STRIDE,COUNT; correct the row",
        )
    return AffectedOutputs(*numbers)


def _rows(text: str, name: str) -> dict[str, _Row]:
    lines = text.split("\n")
    drawn = any(line.startswith(f"{SITE},") for line in lines)
    known = DRAWN_PARSERS if drawn else PARSERS
    optional = _OPTIONAL_DRAWN if drawn else _OPTIONAL
    for number, line in enumerate(lines, start=1):
        if line.startswith("inj_pos,") and "{" in line:
            raise InputError(
                f"{name}:{number}: this is the older dialect of injection files, with "
                "positions as {9,0,49}; expected indices separated by slashes and a "
                "row for the workload; write inj_pos,9/0/49,... and, if there is no "
                "row model, add model,resnet18"
            )
    if drawn and f"model,{PROGRAM}" in map(str.rstrip, lines):
        optional = _OPTIONAL_OF_PROGRAM
    rows: dict[str, _Row] = {}
    for number, line in enumerate(lines, start=1):
        line = line.removesuffix("\r")
        if not line:
            continue
        key, *cells = line.split(",")
        if key not in known:
            raise InputError(
                f"{name}:{number}: unknown key {quote(key)}; expected one of: "
                f"{nearest_first(key, known)}; correct or remove the row"
            )
        if key in rows:
            raise InputError(
                f"{name}:{number}: key {key} again, first in line {rows[key].line}; "
                "expected each key once; remove one of the two rows"
            )
        rows[key] = _Row(number, cells)
    missing = [key for key in known if key not in rows and key not in optional]
    if missing:
        last = max(len(lines) - (lines[-1] == ""), 1)
        raise InputError(
            f"{name}:{last}: the file ends without: {', '.join(missing)}; expected a "
            f"row for each; add a row {missing[0]},..."
        )
    return rows


def _read_text(path: str | os.PathLike[str], name: str) -> str:
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
            raise InputError(
                f"{name}:1: is {kind}; expected an injection CSV file; name a file "
                "such as injections/resnet18/inj_masked.csv"
            )
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{name}:1: cannot read: {one_line(error)}; expected an injection CSV "
            "file; check the path and its permissions"
        ) from None
    if len(data) > MAX_BYTES:
        raise InputError(
            f"{name}:1: {max(status.st_size, len(data))} bytes; expected at most "
            f"{MAX_BYTES}; this is no injection file, or split it into several"
        )
    if not data.strip():
        raise InputError(
            f"{name}:1: the file is empty; expected one key a row; start from a file "
            "in injections/"
        )
    return _decode(data, name)


def _decode(data: bytes, name: str) -> str:
    if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise InputError(
            f"{name}:1: starts with a byte order mark; expected plain UTF-8; save the "
            "file as UTF-8 without BOM"
        )
    lone = re.search(rb"\r(?!\n)", data)
    if lone:
        raise InputError(
            f"{name}:{_line_at(data, lone.start())}: a carriage return inside the "
            "line; expected lines that end in LF; save the file with Unix line ends"
        )
    zero = data.find(b"\0")
    if zero >= 0:
        raise InputError(
            f"{name}:{_line_at(data, zero)}: a NUL byte; expected text; the file is "
            "binary or damaged, write it again"
        )
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{name}:{_line_at(data, error.start)}: byte {data[error.start]:#04x} is "
            "not UTF-8; expected UTF-8 text; save the file as UTF-8"
        ) from None


def _line_at(data: bytes, offset: int) -> int:
    return data.count(b"\n", 0, offset) + 1


PUBLISHED = pathlib.Path(__file__).absolute().parents[1] / "injections"
