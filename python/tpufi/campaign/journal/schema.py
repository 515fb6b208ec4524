# SPDX-License-Identifier: Apache-2.0
"""The tables of the journal, and how rows become columns and back.

`application_id` tells our files from those of others, `user_version` the version of the
tables. A change of the tables counts it up. Every row ends with a checksum of its other
columns.
"""

import dataclasses
import zlib

from tpufi.campaign.journal.row import FaultColumns, Row, pack_losses, unpack_losses
from tpufi.experiment.spread import Spread

APPLICATION = 0x74707566  # "tpuf"
VERSION = 4

_FAULT = tuple(field.name for field in dataclasses.fields(FaultColumns))
_RESULT = tuple(
    field.name
    for field in dataclasses.fields(Row)
    if field.name not in ("experiment", "fault", "spread")
)
COLUMNS = ("experiment", *_FAULT, *_RESULT)

# Columns of each table but the last, `checksum`.
TABLES = {
    "experiment": COLUMNS,
    "propagation": ("experiment", *Spread._fields),
    "manifest": ("key", "value"),
    "session": ("id", "entries", "seconds"),
}

# Those that a campaign of inferences has besides.
OPTIONAL_TABLES = {
    "measure": ("id", "name", "is_truth"),
    "answer": ("experiment", "measure", "value"),
}

# What may differ between two runs of the same experiment.
INCIDENTAL = ("wall_s", "attempt")

_TEXT = (
    *("model", "layer", "direction", "operand", "operation", "fault_digest"),
    *("outcome", "state_digest", "error"),
)
_TYPES = {name: "TEXT" for name in _TEXT} | {
    "losses": "BLOB",
    "wall_s": "REAL",
    "test_accuracy": "REAL",
}
_PLAIN = (str, int, float, bytes, type(None))
_OPTIONAL = (
    *("bit", "diverged_step", "reconverged_step", "nonfinite_step"),
    *("detection_latency", "state_digest", "losses", "test_accuracy", "error"),
)


def statements() -> tuple[str, ...]:
    """Return the SQL that makes an empty journal."""
    columns = ["experiment INTEGER PRIMARY KEY CHECK (experiment >= 0)"]
    for name in COLUMNS[1:]:
        need = "" if name in _OPTIONAL else " NOT NULL"
        columns.append(f"{name} {kind(name)}{need}")
    last = "checksum INTEGER NOT NULL"
    return (
        f"CREATE TABLE experiment ({', '.join(columns)}, {last}) STRICT",
        "CREATE TABLE propagation (experiment INTEGER NOT NULL, after INTEGER NOT NULL,"
        " part TEXT NOT NULL, tensors INTEGER NOT NULL, elements INTEGER NOT NULL,"
        " not_finite INTEGER NOT NULL, relative REAL NOT NULL, tensor TEXT NOT NULL,"
        f" {last}, PRIMARY KEY (experiment, after, part)) STRICT, WITHOUT ROWID",
        "CREATE TABLE manifest (key TEXT PRIMARY KEY, value TEXT NOT NULL,"
        f" {last}) STRICT",
        "CREATE TABLE session (id INTEGER PRIMARY KEY, entries TEXT NOT NULL,"
        f" seconds REAL NOT NULL, {last}) STRICT",
        f"PRAGMA application_id = {APPLICATION}",
        f"PRAGMA user_version = {VERSION}",
    )


def optional_statements() -> tuple[str, ...]:
    """Return the SQL that makes the tables of a campaign of inferences.

    An answer without a value is NaN, which SQLite's numbers do not have.
    """
    last = "checksum INTEGER NOT NULL"
    return (
        "CREATE TABLE measure (id INTEGER PRIMARY KEY, name TEXT NOT NULL,"
        f" is_truth INTEGER NOT NULL, {last}) STRICT",
        "CREATE TABLE answer (experiment INTEGER NOT NULL, measure INTEGER NOT NULL,"
        f" value REAL, {last}, PRIMARY KEY (experiment, measure)) STRICT,"
        " WITHOUT ROWID",
    )


def insert(table: str) -> str:
    """Return the SQL that inserts a row that `sealed` made."""
    names = (*(TABLES | OPTIONAL_TABLES)[table], "checksum")
    return (
        f"INSERT INTO {table} ({', '.join(names)}) VALUES "
        f"({', '.join('?' * len(names))})"
    )


def checksum(values: tuple) -> int:
    """Return the checksum of the columns of a row: CRC-32 of their Python text."""
    return zlib.crc32(repr(values).encode())


def sealed(values: tuple) -> tuple:
    """Return the columns of a row with their checksum behind them."""
    # As SQLite gives them back: an enumeration is a str, a bool an int.
    plain = tuple(v if type(v) in _PLAIN else _plain(v) for v in values)
    return (*plain, checksum(plain))


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


def from_spread(values: tuple) -> Spread:
    """Return what a row of `propagation` says, without its experiment."""
    return Spread(*values[1:])
