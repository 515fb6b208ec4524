# SPDX-License-Identifier: Apache-2.0
"""Connections to the journal's file, and what SQLite's errors mean to a user."""

import contextlib
import pathlib
import sqlite3
from collections.abc import Iterator

from tpufi.campaign.journal import former_versions, schema
from tpufi.campaign.journal.integrity import DAMAGED, check_batches, version_of
from tpufi.errors import InputError
from tpufi.io import refuse_link
from tpufi.messages import one_line, show_path

NAME = "journal.sqlite"
_SECONDS_TO_WAIT = 30

# By SQLite's primary result code.
_REMEDIES = {
    sqlite3.SQLITE_FULL: (
        "no space left; all committed experiments are kept; free some space and run "
        "the same command again"
    ),
    sqlite3.SQLITE_READONLY: (
        "cannot write to the folder; make it writable, or copy all files of the "
        "campaign to one that is"
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "cannot open it; make the file and its folder readable and writable, or copy "
        "all files of the campaign to such a folder"
    ),
    sqlite3.SQLITE_NOTADB: (
        "is no journal of a campaign; name another folder, or move the file away"
    ),
    sqlite3.SQLITE_CORRUPT: DAMAGED,
    sqlite3.SQLITE_IOERR: (
        "the disk failed; all committed experiments are kept; see to the disk and run "
        "the same command again"
    ),
    sqlite3.SQLITE_BUSY: (
        "another program has locked it; close that program and run the same command "
        "again"
    ),
}


@contextlib.contextmanager
def told(path: pathlib.Path) -> Iterator[None]:
    """Turn SQLite's errors about a file into one line; defects of ours stay."""
    try:
        yield
    except UnicodeDecodeError as error:  # In a text of SQLite's own.
        raise InputError(f"{show_path(path)}: {DAMAGED} ({one_line(error)})") from None
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None)
        # Python's own, of text that is no UTF-8, and SQLite's of a damaged header.
        if code is None and "decode" in str(error) or "file format" in str(error):
            code = sqlite3.SQLITE_CORRUPT
        remedy = _REMEDIES.get(code & 0xFF if code is not None else -1)
        if remedy is None:
            raise
        raise InputError(f"{show_path(path)}: {remedy} ({one_line(error)})") from None


def connect(path: pathlib.Path, writable: bool) -> sqlite3.Connection:
    """Open a journal and check that it is one, whole and of our version.

    A reader, whose results are made of the rows, reads all of them once for the check.
    Writers commit into a write-ahead log that is synchronised to the disk before the
    commit returns, so neither a kill nor a loss of power takes a commit back.

    Args:
      path: the file; a writer makes it where there is none.
      writable: whether to write.

    Raises:
      InputError: the file is missing, foreign, damaged or of another version.
    """
    if not writable and not path.exists():
        raise InputError(
            f"{show_path(path)}: there is no journal; name the folder of a campaign"
        )
    with told(path):
        connection = _open(path, writable)
        try:
            is_new = _is_empty(connection)
            if is_new and not writable:
                raise InputError(
                    f"{show_path(path)}: is empty: the campaign was never begun; run it"
                )
            if not is_new:
                # Before anything is written.
                connection = _checked(connection, show_path(path), writable)
            if writable:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                if is_new:
                    _create(connection)
        except BaseException:
            connection.close()
            raise
    return connection


def _open(path: pathlib.Path, writable: bool) -> sqlite3.Connection:
    if writable:
        for ending in ("", "-wal", "-shm", "-journal"):
            refuse_link(path.with_name(path.name + ending))
        return _connection(path, "mode=rwc")
    log = path.with_name(path.name + "-wal")
    # A reader that may not write would leave the files of the log behind.
    connection = _connection(path, "mode=rw")
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA schema_version")
        return connection
    except BaseException as error:
        connection.close()
        pending = log.exists() and log.stat().st_size
        if pending or not isinstance(error, sqlite3.OperationalError):
            raise
    # Nothing is pending: a read-only folder, where no log can be made, will do.
    return _connection(path, "immutable=1")


def _checked(
    connection: sqlite3.Connection, shown: str, writable: bool
) -> sqlite3.Connection:
    """Return a connection to a whole journal of this version."""
    version = version_of(connection, shown)
    if version in former_versions.VERSIONS:
        if not writable:
            connection = _copy(connection)
        former_versions.upgrade(connection, shown, version)
    elif version != schema.VERSION:
        raise InputError(
            f"{shown}: journal of version {version}, this tpufi reads "
            f"{former_versions.VERSIONS[0]} to {schema.VERSION}; use the tpufi that "
            "wrote it, or begin a new folder"
        )
    # What a writer adds does not depend on the rows that are there.
    check_batches(connection, shown, all_rows=not writable)
    return connection


def _copy(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Return a copy in a temporary file, which SQLite removes, and close the other."""
    copy = sqlite3.connect("", isolation_level=None)
    connection.backup(copy)
    connection.close()
    return copy


def _connection(path: pathlib.Path, mode: str) -> sqlite3.Connection:
    address = f"{path.absolute().as_uri()}?{mode}"
    return sqlite3.connect(
        address, uri=True, timeout=_SECONDS_TO_WAIT, isolation_level=None
    )


def _is_empty(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)


def _create(connection: sqlite3.Connection) -> None:
    # One transaction: a kill leaves an empty file or a whole journal.
    connection.execute("BEGIN IMMEDIATE")
    for table, statement in schema.definitions().items():
        if table not in schema.OPTIONAL:
            connection.execute(statement)
    for statement in schema.marks():
        connection.execute(statement)
    connection.execute("COMMIT")
