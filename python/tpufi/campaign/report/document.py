# SPDX-License-Identifier: Apache-2.0
"""What a report consists of, without a format: sections of texts, tables, pictures."""

import csv
import dataclasses
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence

import pandas as pd
from matplotlib.figure import Figure

from tpufi.campaign.report.cells import LONGEST, Code, printable


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
    """A table.

    Args:
      key: unique in the report; name of its CSV file.
      caption: what it shows.
      frame: cells of the types of `cells`; the first column names the row.
    """

    key: str
    caption: str
    frame: pd.DataFrame

    @classmethod
    def of(
        cls,
        key: str,
        caption: str,
        rows: pd.DataFrame | Sequence[Mapping[str, object]],
        longest: int = LONGEST,
    ) -> "Table":
        """Return a table; its texts become printable.

        Args:
          key: see the class.
          caption: see the class.
          rows: a frame of objects, or cells by the name of the column.
          longest: characters of a text to keep.
        """
        frame = pd.DataFrame(rows, dtype=object)
        cells = [
            [type(v)(printable(v, longest)) if isinstance(v, str) else v for v in row]
            for row in frame.itertuples(index=False, name=None)
        ]
        heads = map(printable, frame.columns)
        return cls(key, caption, pd.DataFrame(cells, columns=heads, dtype=object))

    @property
    def columns(self) -> list[tuple[str, object]]:
        """Name and first known cell of each column."""
        return [
            (name, next((v for v in cells if v is not None), None))
            for name, cells in self.frame.items()
        ]

    def rows(self, most: int | None = None) -> Iterator[tuple]:
        """Yield the cells of the first rows, of all by default."""
        shown = self.frame if most is None else self.frame.head(most)
        return shown.itertuples(index=False, name=None)

    def __len__(self) -> int:
        return len(self.frame)

    def write(self, folder: pathlib.Path) -> None:
        """Write `KEY.csv`: numbers in full, an interval as two columns, None empty."""
        pairs = [isinstance(first, tuple) for _, first in self.columns]
        heads = [(f"{n}, low", f"{n}, high") if p else n
                 for n, p in zip(self.frame.columns, pairs, strict=True)]  # fmt: skip
        path = folder / f"{self.key}.csv"
        with open(path, "x", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            for row in (heads, *self.rows()):
                cells: list[object] = []
                for cell, is_pair in zip(row, pairs, strict=True):
                    cells += (cell or (None, None)) if is_pair else [cell]
                writer.writerow(cells)


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


# A text is a paragraph, code a command line, several texts the points of a list.
Block = str | Code | tuple[str, ...] | Table | Picture


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
      header: what was run, by name.
      sections: in order.
    """

    title: str
    summary: str
    header: Mapping[str, str]
    sections: tuple[Section, ...]

    def pictures(self) -> list[Picture]:
        """Return all pictures."""
        return [b for s in self.sections for b in s.blocks if isinstance(b, Picture)]

    def tables(self) -> list[Table]:
        """Return all tables, those of pictures too."""
        blocks = [b for s in self.sections for b in s.blocks]
        own = [b for b in blocks if isinstance(b, Table)]
        return own + [p.table for p in self.pictures() if p.table is not None]
