# SPDX-License-Identifier: Apache-2.0
"""Journals of version 4, whose rows had a checksum each: makes them of this version.

It can go in the version after the one that brought version 5.
"""

import sqlite3
import zlib

from tpufi.campaign.journal import schema
from tpufi.campaign.journal.integrity import check_tables, digests
from tpufi.errors import InputError

VERSION = 4
_ROWS = 1000  # Experiments of a batch that is made of rows without one.
_OWN = {"session": ("id", "entries", "seconds")}


def upgrade(connection: sqlite3.Connection, shown: str) -> None:
    """Check all rows by their checksums and give them batches; all of it or nothing.

    Args:
      connection: open on a journal of version 4 whose pages are whole.
      shown: the path, for messages.

    Raises:
      InputError: it is damaged.
    """
    tables = check_tables(connection, shown, _definitions())
    connection.execute("BEGIN IMMEDIATE")
    try:
        for table in tables:
            _check_rows(connection, shown, table)
        _make_batches(connection, tables)
        for statement in schema.marks():
            connection.execute(statement)
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _definitions() -> dict[str, str]:
    made = schema.definitions()
    del made["batch"]
    made = {
        table: sql.replace("batch INTEGER", "checksum INTEGER")
        for table, sql in made.items()
    }
    entries = "entries TEXT NOT NULL,"
    session = made["session"].replace(entries, f"{entries} seconds REAL NOT NULL,")
    return made | {"session": session}


def _check_rows(connection: sqlite3.Connection, shown: str, table: str) -> None:
    names = _OWN.get(table, schema.TABLES[table])
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
        connection.execute(f"ALTER TABLE {table} RENAME TO before")
        connection.execute(made[table])
        names = ", ".join(schema.TABLES[table])
        # A kill could leave answers whose experiment was not committed yet.
        kept = "WHERE experiment IN (SELECT experiment FROM experiment)"
        connection.execute(
            f"INSERT INTO {table} SELECT {names}, {batch} FROM before "
            f"{kept if table == 'answer' else ''}"
        )
        connection.execute("DROP TABLE before")
    query = f"SELECT DISTINCT batch FROM experiment WHERE batch > {last} ORDER BY 1"
    heads += [(number, last, 0.0) for (number,) in connection.execute(query).fetchall()]
    connection.executemany(schema.insert("batch"), [(*head, 0) for head in heads])
    found = digests(connection, tables)
    connection.executemany(
        "UPDATE batch SET digest = ? WHERE id = ?",
        [(digest, number) for number, digest in found.items()],
    )
