# SPDX-License-Identifier: Apache-2.0
"""The measures of answers, in two tables of their own beside a campaign's rows."""

import dataclasses
import math
import pathlib
from collections.abc import Iterable, Iterator, Sequence

from tpufi.campaign.journal import database, schema
from tpufi.campaign.journal.manifest import Manifest
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.journal.row import Row
from tpufi.campaign.journal.writer import Writer


@dataclasses.dataclass(frozen=True, slots=True)
class AnswerRow(Row):
    """A row with what the measures made of its answer, in their order."""

    values: tuple[float, ...] = ()


class AnswerWriter(Writer):
    """The one writer of a journal with measures.

    Args:
      folder: see `Writer`.
      manifest: see `Writer`.
      session: see `Writer`.
      measures: (name, whether it is a truth value) of each.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        manifest: Manifest,
        session: str,
        measures: Sequence[tuple[str, bool]],
    ):
        super().__init__(folder, manifest, session)
        with database.told(self._path), self._transaction():
            for statement in schema.optional_statements():
                # The text that is kept does not say IF NOT EXISTS.
                self._connection.execute(
                    statement.replace("TABLE", "TABLE IF NOT EXISTS", 1)
                )
            self._insert(
                "measure",
                [(i, name, int(truth)) for i, (name, truth) in enumerate(measures)],
            )

    def add(self, rows: Iterable[AnswerRow]) -> int:
        """Commit rows; see `Writer.add`.

        Values go first: after a kill there may be some of an experiment without a row,
        which nobody reads and which will be written again.
        """
        rows = list(rows)
        values = [
            (row.experiment, number, None if math.isnan(value) else float(value))
            for row in rows
            for number, value in enumerate(getattr(row, "values", ()))
        ]
        with database.told(self._path), self._transaction():
            self._insert("answer", values)
        return super().add(rows)

    def _insert(self, table: str, rows: list[tuple]) -> None:
        statement = schema.insert(table).replace("INSERT", "INSERT OR IGNORE", 1)
        self._connection.executemany(statement, map(schema.sealed, rows))


def measures_of(journal: Reader) -> list[tuple[int, str, bool]]:
    """Return number, name and whether it is a truth value of each measure, if any."""
    tables = "SELECT 1 FROM sqlite_schema WHERE name = 'measure'"
    if not list(journal.query(tables)):
        return []
    found = journal.query("SELECT id, name, is_truth FROM measure ORDER BY id")
    return [(number, name, bool(truth)) for number, name, truth in found]


def values_of(journal: Reader, measure: int) -> Iterator[float]:
    """Yield the values of a measure, by experiment."""
    statement = (
        "SELECT value FROM answer JOIN experiment USING (experiment) "
        "WHERE measure = ? ORDER BY experiment"
    )
    for (value,) in journal.query(statement, (measure,)):
        yield math.nan if value is None else value


def values_of_one(journal: Reader, experiment: int) -> list[float]:
    """Return what the measures made of one experiment, in their order."""
    statement = "SELECT value FROM answer WHERE experiment = ? ORDER BY measure"
    found = journal.query(statement, (experiment,))
    return [math.nan if value is None else value for (value,) in found]
