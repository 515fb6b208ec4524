# SPDX-License-Identifier: Apache-2.0
"""What a report consists of, without a format: sections of texts, tables, pictures."""

import dataclasses
from collections.abc import Callable

from matplotlib.figure import Figure

# text and code; count and number; share (0 to 1, shown in per cent); interval (two
# shares); p (a p-value). Any cell can be None: not known.
KINDS = ("text", "code", "count", "number", "share", "interval", "p")


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a table.

    Args:
      name: head of the column.
      kind: of its cells, one of `KINDS`.
    """

    name: str
    kind: str = "text"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind {self.kind!r}; known: {', '.join(KINDS)}")


@dataclasses.dataclass(frozen=True)
class Table:
    """A table.

    Args:
      key: unique in the report; name of its CSV file.
      caption: what it shows.
      columns: its columns; the first one names the row.
      rows: cells by column; an interval is a pair, every other cell a plain value.
    """

    key: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple, ...]


@dataclasses.dataclass(frozen=True)
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


@dataclasses.dataclass(frozen=True)
class Paragraph:
    """A text of one paragraph."""

    text: str


@dataclasses.dataclass(frozen=True)
class Listing:
    """Points of a list."""

    points: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Command:
    """A command line to copy."""

    text: str


Block = Paragraph | Listing | Command | Table | Picture


@dataclasses.dataclass(frozen=True)
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


@dataclasses.dataclass(frozen=True)
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
