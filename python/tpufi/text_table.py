# SPDX-License-Identifier: Apache-2.0
"""Rows of texts as a table: in Markdown, or in columns for a terminal."""

from collections.abc import Collection, Iterable, Mapping, Sequence


def markdown_table(
    heads: Iterable[object],
    rows: Iterable[Iterable[object]],
    right: Collection[int] = (),
) -> str:
    """Return a Markdown table; what stands in its cells is not escaped.

    Args:
      heads: of the columns.
      rows: cells by column.
      right: places of the columns that stand at the right.

    Example:
      >>> print(markdown_table(("model", "rate"), [("RD", 0.5)], {1}))
      | model | rate |
      | --- | ---: |
      | RD | 0.5 |
    """
    heads = list(heads)
    rule = ("---:" if place in right else "---" for place in range(len(heads)))
    return "\n".join(
        f"| {' | '.join(map(str, line))} |" for line in (heads, rule, *rows)
    )


def markdown_records(rows: Sequence[Mapping[str, object]]) -> str:
    """Return rows that name their cells as a Markdown table; of none, that it is so."""
    if not rows:
        return "None yet."
    return markdown_table(rows[0], [row.values() for row in rows])


def aligned_table(rows: Iterable[Sequence[str]], left: int = 0) -> str:
    """Return rows with columns of one width, two spaces apart.

    Args:
      rows: at least one; the first one has the heads.
      left: number of columns, from the first on, that stand at the left.

    Example:
      >>> print(aligned_table([("model", "rate"), ("RD", "0.5")], left=1))
      model  rate
      RD      0.5
    """
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
