# SPDX-License-Identifier: Apache-2.0
"""Journals of former versions: makes them of this version.

Rows of version 4 had a checksum each. Up to version 5 experiments had no columns `op`,
`site` and `item`, up to version 6 none of `moment` and `injected_steps`. It can go in
the version after the one that brought version 7.
"""

import sqlite3
import zlib

from tpufi.campaign.journal import schema
from tpufi.campaign.journal.integrity import check_batches, check_tables, digests
from tpufi.errors import InputError

VERSIONS = (4, 5, 6)
_ROWS = 1000  # Experiments of a batch that is made of rows without one.
# Columns of experiments by the version that added them, with what former rows get.
_ADDED = {
    6: {"op": "''", "site": "NULL", "item": "NULL"},
    7: {"moment": "NULL", "injected_steps": "NULL"},
}


def upgrade(connection: sqlite3.Connection, shown: str, version: int) -> None:
    """Check all rows by their checksums and make them of today; all or nothing.

    Args:
      connection: open on a journal of a former version whose pages are whole.
      shown: the path, for messages.
      version: among `VERSIONS`.

    Raises:
      InputError: it is damaged.
    """
    known = _definitions(version)
    tables = check_tables(connection, shown, known)
    if version > 4:
        check_batches(connection, shown, True, known, _columns(version))
        tables.remove("batch")
    connection.execute("BEGIN IMMEDIATE")
    try:
        if version == 4:
            for table in tables:
                _check_rows(connection, shown, table)
            _make_batches(connection, tables)
        else:
            _make_again(connection, "experiment", "batch", version)
        _note_digests(connection, tables)
        for statement in schema.marks():
            connection.execute(statement)
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _missing(version: int) -> dict[str, str]:
    """Return the columns that experiments of a version lack, and what they were."""
    return {
        name: value
        for added, names in _ADDED.items()
        if added > version
        for name, value in names.items()
    }


def _columns(version: int) -> dict[str, tuple[str, ...]]:
    missing = _missing(version)
    own = tuple(name for name in schema.COLUMNS if name not in missing)
    return schema.TABLES | {"experiment": own}


def _definitions(version: int) -> dict[str, str]:
    made = schema.definitions()
    for name in _missing(version):
        column = f", {schema.column(name)}"
        made["experiment"] = made["experiment"].replace(column, "")
    if version > 4:
        return made
    del made["batch"]
    made = {
        table: sql.replace("batch INTEGER", "checksum INTEGER")
        for table, sql in made.items()
    }
    entries = "entries TEXT NOT NULL,"
    session = made["session"].replace(entries, f"{entries} seconds REAL NOT NULL,")
    return made | {"session": session}


def _check_rows(connection: sqlite3.Connection, shown: str, table: str) -> None:
    columns = _columns(4) | {"session": ("id", "entries", "seconds")}
    names = columns[table]
    query = f"SELECT {', '.join(names)}, checksum FROM {table}"
    for *values, checksum in connection.execute(query):
        if zlib.crc32(repr(tuple(values)).encode()) != checksum:
            raise InputError(
                f"{shown}: damaged row, {names[0]} {values[0]!r} of table {table}: its "
                "checksum is another; restore the file from a copy, or open it with "
                "the tpufi that wrote it, which says how to take the row out"
            )


def _make_batches(connection: sqlite3.Connection, tables: list[str]) -> None:
    """Make a batch of each session, and of each thousand experiments."""
    made = schema.definitions()
    connection.execute(made["batch"])
    query = "SELECT id, seconds FROM session ORDER BY id"
    heads = [(number, number, seconds) for number, seconds in connection.execute(query)]
    numbers = [head[0] for head in heads]
    first, last = min(numbers, default=0), max(numbers, default=0)
    for table in tables:
        batch = {"session": "id", "manifest": str(first), "measure": str(first)}.get(
            table, f"{last + 1} + experiment / {_ROWS}"
        )
        # A kill could leave answers whose experiment was not committed yet.
        kept = "WHERE experiment IN (SELECT experiment FROM experiment)"
        _make_again(connection, table, batch, 4, kept if table == "answer" else "")
    query = f"SELECT DISTINCT batch FROM experiment WHERE batch > {last} ORDER BY 1"
    heads += [(number, last, 0.0) for (number,) in connection.execute(query).fetchall()]
    connection.executemany(schema.insert("batch"), [(*head, 0) for head in heads])


def _make_again(
    connection: sqlite3.Connection,
    table: str,
    batch: str,
    version: int,
    kept: str = "",
) -> None:
    """Make a table as it is defined today, with the rows that it has."""
    connection.execute(f"ALTER TABLE {table} RENAME TO before")
    connection.execute(schema.definitions()[table])
    missing = _missing(version)
    values = ", ".join(
        missing.get(name, name) if table == "experiment" else name
        for name in schema.TABLES[table]
    )
    connection.execute(
        f"INSERT INTO {table} SELECT {values}, {batch} FROM before {kept}"
    )
    connection.execute("DROP TABLE before")


def _note_digests(connection: sqlite3.Connection, tables: list[str]) -> None:
    found = digests(connection, tables)
    connection.executemany(
        "UPDATE batch SET digest = ? WHERE id = ?",
        [(digest, number) for number, digest in found.items()],
    )
