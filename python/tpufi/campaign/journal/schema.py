# SPDX-License-Identifier: Apache-2.0
"""The tables of the journal, and how rows become columns and back.

`application_id` tells our files from those of others, `user_version` the version of the
tables. A change of the tables counts it up. Rows that are committed together are a
batch: each of them ends with its number, and the table `batch` has their digest.
"""

import dataclasses
import marshal
import math
import zlib
from collections.abc import Iterable, Sequence

from tpufi.campaign.journal.row import (
    FaultColumns,
    Row,
    pack_losses,
    pack_scores,
    unpack_losses,
)
from tpufi.experiment.spread import Spread

APPLICATION = 0x74707566  # "tpuf"
VERSION = 7

_FAULT = tuple(field.name for field in dataclasses.fields(FaultColumns))
_RESULT = tuple(
    field.name
    for field in dataclasses.fields(Row)
    if field.name not in ("experiment", "fault", "spread", "values", "scores")
)
COLUMNS = ("experiment", *_FAULT, *_RESULT)

# Tables whose rows belong to batches, and their columns but the last, `batch`.
TABLES = {
    "manifest": ("key", "value"),
    "session": ("id", "entries"),
    "measure": ("id", "name", "is_truth"),
    "experiment": COLUMNS,
    "propagation": ("experiment", *Spread._fields),
    "answer": ("experiment", "measure", "value"),
    "score": ("experiment", "measure", "scores"),
}
BATCH = ("id", "session", "seconds")  # And `digest`.

# Tables that only a campaign with measures has, and only one with detectors.
MEASURES, SCORES = ("measure", "answer"), ("score",)
OPTIONAL = (*MEASURES, *SCORES)
# In place of the number of an experiment: the golden run.
GOLDEN = -1

# A layout of marshal without references, so that equal values are equal bytes.
_LAYOUT = 2

# What may differ between two runs of the same experiment.
INCIDENTAL = ("wall_s", "attempt")

_TEXT = (
    *("model", "layer", "direction", "operand", "operation", "fault_digest"),
    *("outcome", "state_digest", "error", "op", "site", "moment"),
)
_TYPES = {name: "TEXT" for name in _TEXT} | {
    "losses": "BLOB",
    "wall_s": "REAL",
    "test_accuracy": "REAL",
}
# What a row can hold; a reader of a journal refuses others.
_STEPS = (0, (1 << 31) - 1)
_NUMBERS = (0, (1 << 63) - 1)
_LONGEST_TEXT, _LONGEST_LOSSES = 1 << 14, 1 << 26
_BOUNDS = {
    "experiment": _NUMBERS,
    **dict.fromkeys(("epoch", "step", "item", "duration", "steps_run"), _STEPS),
    "attempt": _STEPS,
    **dict.fromkeys(("diverged_step", "reconverged_step", "nonfinite_step"), _STEPS),
    **dict.fromkeys(("detection_latency", "injected_steps"), _STEPS),
    "replica": (-1, _STEPS[1]),
    "start": _NUMBERS,
    "count": _NUMBERS,
    "bit": (0, 63),
    "wall_s": (0, 1e12),
    "test_accuracy": (0, 1),
}
_PLAIN = (str, int, float, bytes, type(None))
_MAY_BE_NULL = (
    *("bit", "diverged_step", "reconverged_step", "nonfinite_step"),
    *("detection_latency", "state_digest", "losses", "test_accuracy", "error"),
    *("site", "item", "moment", "injected_steps"),
)


def definitions() -> dict[str, str]:
    """Return the SQL that makes each table.

    An answer without a value is NaN, which SQLite's numbers do not have.
    """
    columns = ["experiment INTEGER PRIMARY KEY CHECK (experiment >= 0)"]
    columns += map(column, COLUMNS[1:])
    last = "batch INTEGER NOT NULL"
    return {
        "batch": "CREATE TABLE batch (id INTEGER PRIMARY KEY, session INTEGER NOT NULL,"
        " seconds REAL NOT NULL, digest INTEGER NOT NULL) STRICT",
        "manifest": "CREATE TABLE manifest (key TEXT PRIMARY KEY, value TEXT NOT NULL,"
        f" {last}) STRICT",
        "session": "CREATE TABLE session (id INTEGER PRIMARY KEY,"
        f" entries TEXT NOT NULL, {last}) STRICT",
        "measure": "CREATE TABLE measure (id INTEGER PRIMARY KEY, name TEXT NOT NULL,"
        f" is_truth INTEGER NOT NULL, {last}) STRICT",
        "experiment": f"CREATE TABLE experiment ({', '.join(columns)}, {last}) STRICT",
        "propagation": "CREATE TABLE propagation (experiment INTEGER NOT NULL,"
        " after INTEGER NOT NULL, part TEXT NOT NULL, tensors INTEGER NOT NULL,"
        " elements INTEGER NOT NULL, not_finite INTEGER NOT NULL,"
        f" relative REAL NOT NULL, tensor TEXT NOT NULL, {last},"
        " PRIMARY KEY (experiment, after, part)) STRICT, WITHOUT ROWID",
        "answer": "CREATE TABLE answer (experiment INTEGER NOT NULL,"
        f" measure INTEGER NOT NULL, value REAL, {last},"
        " PRIMARY KEY (experiment, measure)) STRICT, WITHOUT ROWID",
        "score": "CREATE TABLE score (experiment INTEGER NOT NULL,"
        f" measure INTEGER NOT NULL, scores BLOB NOT NULL, {last},"
        " PRIMARY KEY (experiment, measure)) STRICT",
    }


def column(name: str) -> str:
    """Return the SQL that defines a column of experiments but their number."""
    need = "" if name in _MAY_BE_NULL else " NOT NULL"
    return f"{name} {kind(name)}{need}"


def impossible() -> dict[str, str]:
    """Return, by table, what is true of its rows that no experiment can leave."""
    wrong = [f"{n} NOT BETWEEN {low} AND {high}" for n, (low, high) in _BOUNDS.items()]
    wrong += [f"length({name}) > {_LONGEST_TEXT}" for name in _TEXT]
    wrong += [f"length(losses) % 16 OR length(losses) > {_LONGEST_LOSSES}"]
    numbers = ("experiment", "after", "tensors", "elements", "not_finite")
    spread = [f"{n} NOT BETWEEN 0 AND {_NUMBERS[1]}" for n in numbers]
    spread += [f"length({name}) > {_LONGEST_TEXT}" for name in ("part", "tensor")]
    return {
        "experiment": " OR ".join(wrong),
        "propagation": " OR ".join(spread),
        "batch": "seconds NOT BETWEEN 0 AND 1e12",
    }


def marks() -> tuple[str, ...]:
    """Return the SQL that marks a file as a journal of this version."""
    return (
        f"PRAGMA application_id = {APPLICATION}",
        f"PRAGMA user_version = {VERSION}",
    )


def insert(table: str) -> str:
    """Return the SQL that inserts a row behind the number of its batch, or a batch."""
    names = ("batch", *TABLES[table]) if table in TABLES else (*BATCH, "digest")
    return (
        f"INSERT INTO {table} ({', '.join(names)}) VALUES "
        f"({', '.join('?' * len(names))})"
    )


def plain(row: Iterable) -> tuple:
    """Return values as SQLite gives them back: an enumeration is a str there."""
    return tuple(v if type(v) in _PLAIN else _plain(v) for v in row)


def add_to_digests(rows: Iterable[tuple], digests: dict[int, int]) -> None:
    """Add the CRC-32 of rows, in any order, to the digests of their batches.

    Args:
      rows: of `batch`, as `BATCH` names them, or of another table, each behind the
        number of its batch.
      digests: number -> digest of the rows so far; is changed.
    """
    for row in rows:
        checksum = zlib.crc32(marshal.dumps(row, _LAYOUT))
        digests[row[0]] = digests.get(row[0], 0) + checksum


def _plain(value: object) -> object:
    for kind in (str, int, float):
        if isinstance(value, kind):
            return kind(value)
    return value


def kind(column: str) -> str:
    """Return the SQL type of a column: TEXT, INTEGER, REAL or BLOB."""
    return _TYPES.get(column, "INTEGER")


def to_columns(row: Row) -> tuple:
    """Return a row as values in the order of `COLUMNS`."""
    fault = (getattr(row.fault, name) for name in _FAULT)
    result = {name: getattr(row, name) for name in _RESULT}
    result |= {"losses": pack_losses(row.losses), "wall_s": float(row.wall_s)}
    return (row.experiment, *fault, *result.values())


def from_columns(values: tuple) -> Row:
    """Return the row of values in the order of `COLUMNS`."""
    entries = dict(zip(COLUMNS, values, strict=True))
    fault = FaultColumns(**{name: entries.pop(name) for name in _FAULT})
    losses = unpack_losses(entries.pop("losses"))
    return Row(fault=fault, losses=losses, **entries)


def to_spread(row: Row) -> list[tuple]:
    """Return the rows of `propagation` that belong to a row."""
    return [
        (row.experiment, *spread._replace(relative=float(spread.relative)))
        for spread in row.spread
    ]


def to_answers(row: Row) -> list[tuple]:
    """Return the rows of `answer` that belong to a row."""
    return [
        (row.experiment, number, None if math.isnan(value) else float(value))
        for number, value in enumerate(row.values)
    ]


def to_scores(number: int, scores: Sequence[Sequence[float]]) -> list[tuple]:
    """Return the rows of `score` that belong to an experiment, or to `GOLDEN`."""
    return [(number, i, pack_scores(own)) for i, own in enumerate(scores)]


def from_spread(values: tuple) -> Spread:
    """Return what a row of `propagation` says, without its experiment."""
    return Spread(*values[1:])
