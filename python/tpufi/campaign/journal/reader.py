# SPDX-License-Identifier: Apache-2.0
"""Reads a journal, also while it is written or in a read-only folder."""

import dataclasses
import pathlib
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

from tpufi.campaign.journal import database, schema
from tpufi.campaign.journal.row import Row
from tpufi.errors import InputError
from tpufi.experiment.spread import Spread
from tpufi.messages import quote, show_path
from tpufi.untrusted import json_object, reading

# A batch of a cursor: enough to be fast, little enough to be small.
_ROWS = 10_000
_BELOW = "WHERE experiment < ?"


class Reader:
    """A journal open for reading; a context manager.

    Args:
      path: of the file, for messages.
      connection: from `database.connect`.
    """

    def __init__(self, path: pathlib.Path, connection: sqlite3.Connection):
        self._path = path
        self._connection = connection

    @classmethod
    def open(cls, folder: pathlib.Path) -> "Reader":
        """Open the journal in the folder of a campaign.

        Raises:
          InputError: there is none, or it is foreign, damaged or of another version.
        """
        path = folder / database.NAME
        return Reader(path, database.connect(path, writable=False))

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def untrusted(self) -> AbstractContextManager[None]:
        """Raise InputError for whatever the content makes those raise that use it."""
        remedy = (
            "restore the file from a copy; if it is as tpufi wrote it, --verbose shows "
            "where to look for the defect"
        )
        return reading(self._path, remedy, "cannot use its content")

    def plan(self) -> dict[str, Any]:
        """Return what determines the experiments; empty in a journal without.

        Raises:
          InputError: it is not a JSON object.
        """
        return self._object(self.manifest().get("plan", "{}"), "plan")

    def noted(self) -> list[tuple[dict[str, Any], float]]:
        """Return what was noted of each running, by name, and its seconds.

        Raises:
          InputError: it is not a JSON object.
        """
        return [
            (self._object(text, "session"), seconds)
            for text, seconds in self.sessions()
        ]

    def _object(self, text: str, what: str) -> dict[str, Any]:
        remedy = "restore the file from a copy, or begin a new folder"
        with reading(self._path, remedy, f"damaged {what}"):
            return json_object(text)

    def manifest(self) -> dict[str, str]:
        """Return the entries of the manifest, empty in a new journal."""
        return dict(self.query("SELECT key, value FROM manifest ORDER BY key"))

    def sessions(self) -> list[tuple[str, float]]:
        """Return what was noted of each running, and its seconds."""
        return list(
            self.query(
                "SELECT entries, max(seconds) FROM session JOIN batch "
                "ON batch.session = session.id GROUP BY session.id ORDER BY session.id"
            )
        )

    def count(self) -> int:
        """Return the number of experiments."""
        ((count,),) = self.query("SELECT count(*) FROM experiment")
        return count

    def highest(self) -> int | None:
        """Return the highest number of an experiment; None if there is none."""
        ((highest,),) = self.query("SELECT max(experiment) FROM experiment")
        return highest

    def missing(self, limit: int) -> Iterator[range]:
        """Yield the experiments below `limit` that are not there, as ranges."""
        last = "SELECT max(experiment) FROM experiment WHERE experiment < ?"
        ((highest,),) = self.query(last, (limit,))
        for before, number in self.query(
            "SELECT before, experiment FROM (SELECT experiment, "
            "lag(experiment, 1, -1) OVER (ORDER BY experiment) AS before "
            "FROM experiment WHERE experiment < ?) WHERE experiment > before + 1",
            (limit,),
        ):
            yield range(before + 1, number)
        begin = 0 if highest is None else highest + 1
        if begin < limit:
            yield range(begin, limit)

    def numbers(self, first: int, last: int) -> set[int]:
        """Return the experiments from `first` to `last` that are there."""
        statement = "SELECT experiment FROM experiment WHERE experiment BETWEEN ? AND ?"
        return {number for (number,) in self.query(statement, (first, last))}

    def row(self, experiment: int) -> Row:
        """Return one row.

        Raises:
          InputError: the experiment is not in the journal.
        """
        found = list(self._rows("WHERE experiment = ?", (experiment,)))
        if not found:
            raise InputError(
                f"{show_path(self._path)}: no experiment {experiment}; it has "
                f"{self.count()}, by their numbers"
            )
        return dataclasses.replace(found[0], spread=self.spread(experiment))

    def spread(self, experiment: int) -> tuple[Spread, ...]:
        """Return how far the fault of an experiment had spread, as far as recorded."""
        names = ", ".join(schema.TABLES["propagation"])
        statement = f"SELECT {names} FROM propagation WHERE experiment = ?"
        return tuple(map(schema.from_spread, self.query(statement, (experiment,))))

    def rows(self) -> Iterator[Row]:
        """Yield all rows by number, without their spread."""
        return self._rows("ORDER BY experiment", ())

    def query(self, statement: str, values: tuple = ()) -> Iterator[tuple]:
        """Yield the results of SQL on the tables of `schema`."""
        with database.told(self._path):
            cursor = self._connection.execute(statement, values)
            while batch := cursor.fetchmany(_ROWS):
                yield from batch

    def tally(
        self, by: tuple[str, ...], outcome: bool = True, below: int | None = None
    ) -> dict[tuple, int]:
        """Count experiments.

        Args:
          by: columns, any of `schema.COLUMNS`.
          outcome: whether to count outcomes apart, as the last value of the key.
          below: only experiments with a smaller number; None: all.

        Returns:
          Values of the columns -> experiments.

        Raises:
          InputError: there is no such column.
        """
        for name in by:
            if name not in schema.COLUMNS:
                raise InputError(
                    f"no column {quote(name)}; known: {', '.join(schema.COLUMNS)}"
                )
        names = ", ".join((*by, "outcome") if outcome else by)
        if not names:
            return {(): self.count()}
        chosen, values = ("", ()) if below is None else (_BELOW, (below,))
        statement = (
            f"SELECT {names}, count(*) FROM experiment {chosen} GROUP BY {names}"
        )
        return {tuple(key): count for *key, count in self.query(statement, values)}

    def _rows(self, clause: str, values: tuple) -> Iterator[Row]:
        statement = f"SELECT {', '.join(schema.COLUMNS)} FROM experiment {clause}"
        return map(schema.from_columns, self.query(statement, values))
