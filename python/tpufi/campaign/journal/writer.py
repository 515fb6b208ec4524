# SPDX-License-Identifier: Apache-2.0
"""Writes a journal: batches that are committed as a whole, each experiment once."""

import dataclasses
import pathlib
import time
from collections.abc import Iterable

from tpufi.campaign.journal import database, schema
from tpufi.campaign.journal.lock import WritersLock
from tpufi.campaign.journal.manifest import Manifest
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.journal.row import Row
from tpufi.errors import InputError
from tpufi.messages import one_line, show_path

_INSERT = schema.insert("experiment") + " ON CONFLICT (experiment) DO NOTHING"
_INSERT_SPREAD = schema.insert("propagation") + " ON CONFLICT DO NOTHING"


class Writer(Reader):
    """The one writer of a journal; a context manager.

    Args:
      folder: of the campaign; made if need be.
      manifest: what the rows depend on; a journal begun with another is refused.
      session: what to note of this running, e.g. `manifest.session_entries`.

    Raises:
      InputError: another process writes, the folder is read-only, the file is foreign,
        damaged or of another version, or the manifest differs.
    """

    def __init__(self, folder: pathlib.Path, manifest: Manifest, session: str):
        _make(folder)
        self._lock = WritersLock(folder)
        try:
            path = folder / database.NAME
            super().__init__(path, database.connect(path, writable=True))
            try:
                self._begin(manifest, session)
            except BaseException:
                self._connection.close()
                raise
        except BaseException:
            self._lock.close()
            raise

    def add(self, rows: Iterable[Row]) -> int:
        """Commit rows: all of them, or none if this raises.

        Once it returns they survive a kill and a loss of power. A row whose experiment
        is there already, as when lost work was handed out again, is passed over.

        Args:
          rows: any number, in any order.

        Returns:
          How many experiments are new.

        Raises:
          InputError: no space is left, the disk fails, or an experiment is there
            already with another result.
        """
        rows = list(rows)
        batch = [schema.to_columns(row) for row in rows]
        spread = [
            schema.sealed(values) for row in rows for values in schema.to_spread(row)
        ]
        with database.told(self._path), self._transaction():
            before = self._connection.total_changes
            self._connection.executemany(_INSERT, map(schema.sealed, batch))
            new = self._connection.total_changes - before
            if new < len(batch):
                self._check_repeats(batch)
            self._connection.executemany(_INSERT_SPREAD, spread)
            self._note_seconds(time.monotonic() - self._begun)
        return new

    def close(self) -> None:
        """Close the file and give the lock back."""
        super().close()
        self._lock.close()

    def _begin(self, manifest: Manifest, session: str) -> None:
        self._begun = time.monotonic()
        recorded = self.manifest()
        if recorded:
            manifest.check_same(recorded, show_path(self._path))
        with database.told(self._path), self._transaction():
            if not recorded:
                entries = dataclasses.asdict(manifest).items()
                self._connection.executemany(
                    schema.insert("manifest"), map(schema.sealed, entries)
                )
            statement = "SELECT ifnull(max(id), 0) + 1 FROM session"
            ((number,),) = self._connection.execute(statement)
            self._session = number, session
            self._connection.execute(
                schema.insert("session"), schema.sealed((number, session, 0.0))
            )

    def _note_seconds(self, seconds: float) -> None:
        number, _ = self._session
        self._connection.execute(
            "UPDATE session SET seconds = ?, checksum = ? WHERE id = ?",
            (seconds, schema.checksum((*self._session, seconds)), number),
        )

    def _check_repeats(self, batch: list[tuple]) -> None:
        names = [n for n in schema.COLUMNS if n not in schema.INCIDENTAL]
        select = f"SELECT {', '.join(names)} FROM experiment WHERE experiment = ?"
        for values in batch:
            entries = dict(zip(schema.COLUMNS, values, strict=True))
            (there,) = self._connection.execute(select, (entries["experiment"],))
            for name, kept in zip(names, there, strict=True):
                if kept != entries[name]:
                    raise InputError(
                        f"{show_path(self._path)}: experiment {entries['experiment']} "
                        f"came out twice, with {name} {kept!r} and {entries[name]!r}: "
                        "the set-up is not deterministic; find out why and begin a new "
                        "folder"
                    )

    def _transaction(self) -> "_Transaction":
        return _Transaction(self._connection)


class _Transaction:
    """BEGIN IMMEDIATE, then COMMIT, or ROLLBACK on any error."""

    def __init__(self, connection):
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind, *_) -> None:
        try:
            if kind is None:
                self._connection.execute("COMMIT")
        finally:
            # SQLite has rolled back by itself after some errors.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")


def _make(folder: pathlib.Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{show_path(folder)}: cannot make the folder: {one_line(error)}; choose "
            "another one"
        ) from None
