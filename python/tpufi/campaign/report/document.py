# SPDX-License-Identifier: Apache-2.0
"""What a report consists of, without a format: sections of texts, tables, pictures."""

import csv
import dataclasses
import pathlib
from collections.abc import Callable, Iterable, Iterator

import pandas as pd
from matplotlib.figure import Figure

from tpufi.campaign.report.cells import FORMATS, LONGEST, printable


class Command(str):
    """A command line to copy."""


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
    """A table.

    Args:
      key: unique in the report; name of its CSV file.
      caption: what it shows.
      frame: its cells, as objects; the first column names the row. An interval is a
        pair, None is not known.
      formats: of each column, among `cells.FORMATS`.
    """

    key: str
    caption: str
    frame: pd.DataFrame
    formats: tuple[str, ...]

    @classmethod
    def of(
        cls,
        key: str,
        caption: str,
        columns: Iterable[str | tuple[str, str]],
        rows: Iterable[Iterable],
        longest: int = LONGEST,
    ) -> "Table":
        """Return a table of rows; texts become printable.

        Args:
          key: see the class.
          caption: see the class.
          columns: name and format of each; a name alone is one of texts.
          rows: cells by column.
          longest: characters of a text to keep.
        """
        pairs = [(c, "text") if isinstance(c, str) else c for c in columns]
        names, formats = zip(*pairs, strict=True)
        if unknown := set(formats).difference(FORMATS):
            raise ValueError(f"formats {unknown}; known: {', '.join(FORMATS)}")
        cells = [
            [printable(v, longest) if isinstance(v, str) else v for v in row]
            for row in rows
        ]
        frame = pd.DataFrame(cells, columns=map(printable, names), dtype=object)
        return cls(key, caption, frame, formats)

    @property
    def columns(self) -> list[tuple[str, str]]:
        """Name and format of each column."""
        return list(zip(self.frame.columns, self.formats, strict=True))

    def rows(self, most: int | None = None) -> Iterator[tuple]:
        """Yield the cells of the first rows, of all by default."""
        return self.frame.head(len(self) if most is None else most).itertuples(
            index=False, name=None
        )

    def __len__(self) -> int:
        return len(self.frame)

    def write(self, folder: pathlib.Path) -> None:
        """Write `KEY.csv`: numbers in full, an interval as two columns, None empty."""
        path = folder / f"{self.key}.csv"
        with open(path, "x", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(
                column
                for name, kind in self.columns
                for column in (
                    (f"{name}, low", f"{name}, high") if kind == "interval" else (name,)
                )
            )
            for row in self.rows():
                writer.writerow(
                    part
                    for cell, kind in zip(row, self.formats, strict=True)
                    for part in (
                        (cell or (None, None)) if kind == "interval" else (cell,)
                    )
                )


@dataclasses.dataclass(frozen=True, eq=False)
class Picture:
    """A picture with the numbers it shows.

    Args:
      key: unique in the report; name of its file.
      caption: what it shows and how to read it.
      alternative: what one would say who sees it, for those who do not.
      draw: makes the figure.
      table: its numbers; None: a table that stands beside the picture has them.
    """

    key: str
    caption: str
    alternative: str
    draw: Callable[[], Figure]
    table: Table | None = None


# A text is a paragraph, several are the points of a list.
Block = str | Command | tuple[str, ...] | Table | Picture


@dataclasses.dataclass(frozen=True, eq=False)
class Section:
    """A section under its own heading.

    Args:
      key: unique in the report; its anchor.
      title: heading.
      blocks: what it holds, in order.
    """

    key: str
    title: str
    blocks: tuple[Block, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Document:
    """A whole report.

    Args:
      title: of the page.
      summary: one line under it.
      sections: in order.
    """

    title: str
    summary: str
    sections: tuple[Section, ...]

    def pictures(self) -> list[Picture]:
        """Return all pictures."""
        return [b for s in self.sections for b in s.blocks if isinstance(b, Picture)]

    def tables(self) -> list[Table]:
        """Return all tables, those of pictures too."""
        blocks = [b for s in self.sections for b in s.blocks]
        own = [b for b in blocks if isinstance(b, Table)]
        return own + [p.table for p in self.pictures() if p.table is not None]
