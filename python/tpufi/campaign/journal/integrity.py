# SPDX-License-Identifier: Apache-2.0
"""Whether a file is a journal of ours, and every row as it was written."""

import sqlite3
from collections.abc import Iterable, Mapping

from tpufi.campaign.journal import schema
from tpufi.errors import InputError

DAMAGED = (
    "is damaged; keep a copy of the folder, then recover what is left into a new "
    "file: sqlite3 journal.sqlite .recover | sqlite3 recovered.sqlite"
)
# Tables of what every row of the journal depends on.
_HEAD = ("manifest", "session", "measure")


def version_of(connection: sqlite3.Connection, shown: str) -> int:
    """Return the version of a journal whose pages are whole.

    Args:
      connection: open on a file that is not empty.
      shown: the path, for messages.

    Raises:
      InputError: it is of another program, or damaged.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != schema.APPLICATION:
        raise InputError(
            f"{shown}: is a database of another program; name another folder, or move "
            "the file away"
        )
    (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if verdict != "ok":
        raise InputError(f"{shown}: {DAMAGED} ({' '.join(verdict.split())})")
    return connection.execute("PRAGMA user_version").fetchone()[0]


def check_tables(
    connection: sqlite3.Connection, shown: str, known: Mapping[str, str]
) -> list[str]:
    """Compare the definitions of the tables with those that they were made by.

    Args:
      connection: open on a journal.
      shown: the path, for messages.
      known: the SQL that makes each table.

    Returns:
      The names of the tables, in the order of `known`.

    Raises:
      InputError: a table differs, is missing or is not one of a journal.
    """
    query = "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL"
    found = dict(connection.execute(query))
    needed = known.keys() - schema.OPTIONAL
    if not needed <= found.keys() or not found.items() <= known.items():
        raise InputError(f"{shown}: {DAMAGED} (its tables are not those of a journal)")
    return [name for name in known if name in found]


def digests(
    connection: sqlite3.Connection,
    tables: Iterable[str],
    columns: Mapping[str, tuple[str, ...]] = schema.TABLES,
) -> dict[int, int]:
    """Return the digest of every batch, from all rows of all tables."""
    found: dict[int, int] = {}
    heads = f"SELECT {', '.join(schema.BATCH)} FROM batch"
    schema.add_to_digests(connection.execute(heads), found)
    for table in tables:
        rows = f"SELECT batch, {', '.join(columns[table])} FROM {table}"
        schema.add_to_digests(connection.execute(rows), found)
    return found


def check_batches(
    connection: sqlite3.Connection,
    shown: str,
    all_rows: bool,
    definitions: Mapping[str, str] = schema.definitions(),
    columns: Mapping[str, tuple[str, ...]] = schema.TABLES,
) -> None:
    """Compare rows of a journal with the digests of their batches.

    Args:
      connection: open on a journal.
      shown: the path, for messages.
      all_rows: whether to read all rows; else those that say what the journal is of.
      definitions: the SQL that makes each table.
      columns: of each table but `batch`.

    Raises:
      InputError: it is damaged.
    """
    # In one state of the file, whatever a writer commits meanwhile.
    connection.execute("BEGIN")
    try:
        tables = check_tables(connection, shown, definitions)
        tables.remove("batch")
        for number in _damaged(connection, tables, all_rows, columns):
            raise InputError(
                f"{shown}: damaged rows, batch {number}: their digest is another; "
                f"{_remedy(connection, tables, number)}"
            )
        if all_rows and columns is schema.TABLES:
            _check_values(connection, shown)
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _check_values(connection: sqlite3.Connection, shown: str) -> None:
    """Refuse rows with numbers that no experiment can leave, sealed or not."""
    for table, condition in schema.impossible().items():
        row = connection.execute(f"SELECT * FROM {table} WHERE {condition}").fetchone()
        if row is not None:
            raise InputError(
                f"{shown}: table {table}, row {row[0]}: impossible values; restore the "
                "file from a copy, or begin a new folder"
            )


def _damaged(
    connection: sqlite3.Connection,
    tables: list[str],
    all_rows: bool,
    columns: Mapping[str, tuple[str, ...]],
) -> list[int]:
    """Return the numbers of the batches whose digest is not that of their rows."""
    heads = [table for table in tables if table in _HEAD]
    found = digests(connection, tables if all_rows else heads, columns)
    if not all_rows and "score" in tables:
        # The scores of the golden run came with the first of the heads.
        names = ", ".join(columns["score"])
        golden = f"SELECT batch, {names} FROM score WHERE experiment = {schema.GOLDEN}"
        schema.add_to_digests(connection.execute(golden), found)
    recorded = dict(connection.execute("SELECT id, digest FROM batch"))
    numbers = found.keys() | recorded.keys()
    if not all_rows:
        query = " UNION ".join(f"SELECT batch FROM {table}" for table in heads)
        numbers = {number for (number,) in connection.execute(query)}
    return sorted(n for n in numbers if found.get(n) != recorded.get(n))


def _remedy(connection: sqlite3.Connection, tables: Iterable[str], number: int) -> str:
    held = {
        table: count
        for table in tables
        for (count,) in connection.execute(
            f"SELECT count(*) FROM {table} WHERE batch = {number}"
        )
    }
    if any(held.get(table) for table in _HEAD):
        return "restore the file from a copy, or begin a new folder"
    rows = " ".join(
        f"DELETE FROM {table} WHERE batch = {number};"
        for table in held
        if table not in _HEAD
    )
    return (
        f'take them out with sqlite3 journal.sqlite "{rows} '
        f'DELETE FROM batch WHERE id = {number};" and run the campaign again, which '
        f"does these {held['experiment']} experiments again"
    )
