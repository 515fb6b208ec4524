# SPDX-License-Identifier: Apache-2.0
"""A report as Markdown with pictures beside it."""

import re
from html import escape

from tpufi.campaign.report.cells import NUMERIC, cell_text
from tpufi.campaign.report.document import (
    Block,
    Command,
    Document,
    Listing,
    Paragraph,
    Picture,
    Table,
)

_MOST_ROWS = 40
_SPECIAL = re.compile(r"([\\`*_\[\]|~$#!])")


def markdown(document: Document) -> str:
    """Return the text; texts of the journal are escaped.

    Pictures are named `pictures/KEY.png`, tables that are too long for a page are cut
    and refer to `tables/KEY.csv`.
    """
    parts = [f"# {_escaped(document.title)}", _escaped(document.summary)]
    for section in document.sections:
        parts.append(f"## {_escaped(section.title)}")
        parts.extend(_block(block) for block in section.blocks)
    return "\n\n".join(parts) + "\n"


def _block(block: Block) -> str:
    if isinstance(block, Paragraph):
        return _escaped(block.text)
    if isinstance(block, Listing):
        return "\n".join(f"- {_escaped(point)}" for point in block.points)
    if isinstance(block, Command):
        return f"    {block.text}"
    if isinstance(block, Picture):
        picture = f"![{_escaped(block.alternative)}](pictures/{block.key}.png)"
        numbers = ""
        if block.table is not None:
            name = f"tables/{block.table.key}.csv"
            numbers = f" Numbers: [{_escaped(name)}]({name})."
        return f"{picture}\n\n{_escaped(block.caption)}{numbers}"
    return _table(block)


def _table(table: Table) -> str:
    lines = [
        _line(_escaped(column.name) for column in table.columns),
        _line("---:" if column.kind in NUMERIC else "---" for column in table.columns),
    ]
    for row in table.rows[:_MOST_ROWS]:
        cells = zip(row, table.columns, strict=True)
        lines.append(_line(_cell(value, column.kind) for value, column in cells))
    file = f"tables/{table.key}.csv"
    more = f" All numbers: [{_escaped(file)}]({file})."
    if len(table.rows) > _MOST_ROWS:
        more = f" The first {_MOST_ROWS} of {len(table.rows)} rows;{more.lower()}"
    return f"{_escaped(table.caption)}{more}\n\n" + "\n".join(lines)


def _cell(value: object, kind: str) -> str:
    text = _escaped(cell_text(value, kind))
    return f"<code>{text}</code>" if kind == "code" else text


def _line(cells) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", escape(" ".join(text.split(" ")), quote=False))
