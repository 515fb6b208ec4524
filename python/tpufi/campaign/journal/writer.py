# SPDX-License-Identifier: Apache-2.0
"""Writes a journal: batches that are committed as a whole, each experiment once."""

import dataclasses
import pathlib
import time
from collections.abc import Iterable, Sequence

from tpufi.campaign.journal import database, schema
from tpufi.campaign.journal.lock import WritersLock
from tpufi.campaign.journal.manifest import Manifest
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.journal.row import Row
from tpufi.errors import InputError
from tpufi.io import make_folder
from tpufi.messages import show_path


class Writer(Reader):
    """The one writer of a journal; a context manager.

    Args:
      folder: of the campaign; made if need be.
      manifest: what the rows depend on; a journal begun with another is refused.
      session: what to note of this running, see `Subject.session`.
      measures: (name, whether it is a truth value) of each number that an experiment
        has besides its columns.
      golden_scores: of a campaign with detectors: those of the golden run, for each
        measure.

    Raises:
      InputError: another process writes, the folder is read-only, the file is foreign,
        damaged or of another version, or the manifest differs.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        manifest: Manifest,
        session: str,
        measures: Sequence[tuple[str, bool]] = (),
        golden_scores: Sequence[Sequence[float]] = (),
    ):
        make_folder(folder, "choose another one")
        self._lock = WritersLock(folder)
        try:
            path = folder / database.NAME
            super().__init__(path, database.connect(path, writable=True))
            try:
                self._begin(manifest, session, measures, golden_scores)
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
        with database.told(self._path), self._transaction():
            new = self._new(rows)
            self._commit(
                experiment=[schema.to_columns(row) for row in new],
                propagation=[spread for row in new for spread in schema.to_spread(row)],
                answer=[answer for row in new for answer in schema.to_answers(row)],
                score=[
                    score
                    for row in new
                    for score in schema.to_scores(row.experiment, row.scores)
                ],
            )
        return len(new)

    def close(self) -> None:
        """Close the file and give the lock back."""
        super().close()
        self._lock.close()

    def _begin(
        self,
        manifest: Manifest,
        entries: str,
        measures: Sequence[tuple[str, bool]],
        golden_scores: Sequence[Sequence[float]],
    ) -> None:
        self._begun = time.monotonic()
        recorded = self.manifest()
        if recorded:
            manifest.check_same(recorded, show_path(self._path))
        with database.told(self._path), self._transaction():
            tables = "SELECT 1 FROM sqlite_schema WHERE name = 'measure'"
            if list(self._connection.execute(tables)):
                measures, golden_scores = (), ()  # They are there.
            elif measures:
                scores = schema.SCORES if golden_scores else ()
                for table in (*schema.MEASURES, *scores):
                    self._connection.execute(schema.definitions()[table])
            self._session = self._next("session")
            self._commit(
                manifest=() if recorded else dataclasses.asdict(manifest).items(),
                session=[(self._session, entries)],
                measure=[(i, *measure) for i, measure in enumerate(measures)],
                score=schema.to_scores(schema.GOLDEN, golden_scores),
            )

    def _commit(self, **tables: Iterable[tuple]) -> None:
        """Insert rows as one batch, within a transaction."""
        number = self._next("batch")
        head = (number, self._session, time.monotonic() - self._begun)
        digests: dict[int, int] = {}
        schema.add_to_digests([head], digests)
        for table, values in tables.items():
            rows = [schema.plain((number, *row)) for row in values]
            schema.add_to_digests(rows, digests)
            if rows:  # The tables of measures may be missing.
                self._connection.executemany(schema.insert(table), rows)
        self._connection.execute(schema.insert("batch"), (*head, digests[number]))

    def _next(self, table: str) -> int:
        statement = f"SELECT ifnull(max(id), 0) + 1 FROM {table}"
        ((number,),) = self._connection.execute(statement)
        return number

    def _new(self, rows: Iterable[Row]) -> list[Row]:
        """Return the first row of each experiment that is not there yet."""
        names = [n for n in schema.COLUMNS if n not in schema.INCIDENTAL]
        select = f"SELECT {', '.join(names)} FROM experiment WHERE experiment = ?"
        new: dict[int, tuple[Row, tuple]] = {}
        for row in rows:
            entries = dict(zip(schema.COLUMNS, schema.to_columns(row), strict=True))
            found = tuple(entries[name] for name in names)
            if row.experiment in new:
                _, kept = new[row.experiment]
            else:
                kept = self._connection.execute(select, (row.experiment,)).fetchone()
            if kept is None:
                new[row.experiment] = row, found
            else:
                self._check_same(names, kept, found)
        return [row for row, _ in new.values()]

    def _check_same(self, names: list[str], kept: tuple, found: tuple) -> None:
        for name, before, now in zip(names, kept, found, strict=True):
            if before != now:
                raise InputError(
                    f"{show_path(self._path)}: experiment {found[0]} came out twice, "
                    f"with {name} {before!r} and {now!r}: the set-up is not "
                    "deterministic; find out why and begin a new folder"
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
