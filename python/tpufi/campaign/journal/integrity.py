# SPDX-License-Identifier: Apache-2.0
"""Whether a file is a journal of ours, and every row as it was written."""

import sqlite3

from tpufi.campaign.journal import schema
from tpufi.errors import InputError

DAMAGED = (
    "is damaged; keep a copy of the folder, then recover what is left into a new "
    "file: sqlite3 journal.sqlite .recover | sqlite3 recovered.sqlite"
)
_ROWS = 10_000


def check_journal(connection: sqlite3.Connection, shown: str) -> None:
    """Check kind, version, pages and rows of a journal, reading all of it.

    Args:
      connection: open on a file that is not empty.
      shown: the path, for messages.

    Raises:
      InputError: it is foreign, damaged or of another version.
    """
    version = _version(connection, shown)
    if version != schema.VERSION:
        raise InputError(
            f"{shown}: journal of version {version}, this tpufi reads "
            f"{schema.VERSION}; use the tpufi that wrote it, or begin a new folder"
        )
    _check_pages(connection, shown)
    _check_tables(connection, shown)
    for table in schema.TABLES:
        _check_rows(connection, shown, table)


def _version(connection: sqlite3.Connection, shown: str) -> int:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != schema.APPLICATION:
        raise InputError(
            f"{shown}: is a database of another program; name another folder, or move "
            "the file away"
        )
    return connection.execute("PRAGMA user_version").fetchone()[0]


def _check_pages(connection: sqlite3.Connection, shown: str) -> None:
    (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if verdict != "ok":
        raise InputError(f"{shown}: {DAMAGED} ({' '.join(verdict.split())})")


def _check_tables(connection: sqlite3.Connection, shown: str) -> None:
    """Compare the definitions of the tables with those that `schema` makes."""
    wanted = {s for s in schema.statements() if s.startswith("CREATE")}
    found = connection.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL")
    if {sql for (sql,) in found} != wanted:
        raise InputError(f"{shown}: {DAMAGED} (its tables are not those of a journal)")


def _check_rows(connection: sqlite3.Connection, shown: str, table: str) -> None:
    names = ", ".join(schema.TABLES[table])
    cursor = connection.execute(f"SELECT {names}, checksum FROM {table}")
    while batch := cursor.fetchmany(_ROWS):
        for row in batch:
            if schema.checksum(row[:-1]) != row[-1]:
                key = f"{schema.TABLES[table][0]} {row[0]!r}"
                raise InputError(
                    f"{shown}: damaged row, {key} of table {table}: its checksum is "
                    f"another; {_remedy(table, row[0])}"
                )


def _remedy(table: str, key: object) -> str:
    if "experiment" not in schema.TABLES[table] or not isinstance(key, int):
        return "restore the file from a copy, or begin a new folder"
    rows = " ".join(
        f"DELETE FROM {name} WHERE experiment = {key};"
        for name in ("experiment", "propagation")
    )
    return (
        f'take it out with sqlite3 journal.sqlite "{rows}" and run the campaign again, '
        "which does this experiment anew"
    )
