# SPDX-License-Identifier: Apache-2.0
"""Tables of a report as CSV, numbers in full."""

import csv
import pathlib
from collections.abc import Iterator

from tpufi.campaign.report.document import Column, Table


def write_table(table: Table, folder: pathlib.Path) -> None:
    """Write a table as `KEY.csv`: an interval becomes two columns, None an empty cell.

    Args:
      table: what to write.
      folder: that exists.
    """
    path = folder / f"{table.key}.csv"
    with open(path, "x", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([name for column in table.columns for name in _names(column)])
        for row in table.rows:
            cells = zip(row, table.columns, strict=True)
            writer.writerow(
                [v for cell, column in cells for v in _values(cell, column)]
            )


def _names(column: Column) -> Iterator[str]:
    if column.kind == "interval":
        yield f"{column.name}, low"
        yield f"{column.name}, high"
    else:
        yield column.name


def _values(cell: object, column: Column) -> Iterator[object]:
    if column.kind == "interval":
        yield from (None, None) if cell is None else cell
    else:
        yield cell
