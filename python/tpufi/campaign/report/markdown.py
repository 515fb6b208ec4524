# SPDX-License-Identifier: Apache-2.0
"""A report as Markdown with pictures beside it."""

import re
from html import escape

from tpufi.campaign.report.cells import Code, cell_text, is_number
from tpufi.campaign.report.document import Block, Document, Picture, Table
from tpufi.text_table import markdown_table

_MOST_ROWS = 40
_SPECIAL = re.compile(r"([\\`*_\[\]|~$#!])")


def markdown(document: Document) -> str:
    """Return the text; texts of the journal are escaped.

    Pictures are named `pictures/KEY.png`, tables that are too long for a page are cut
    and refer to `tables/KEY.csv`.
    """
    header = [f"- {name}: {_escaped(text)}" for name, text in document.header.items()]
    parts = [
        f"# {_escaped(document.title)}",
        _escaped(document.summary),
        "\n".join(header),
    ]
    for section in document.sections:
        parts.append(f"## {_escaped(section.title)}")
        parts.extend(map(_block, section.blocks))
    return "\n\n".join(parts) + "\n"


def _block(block: Block) -> str:
    if isinstance(block, Code):
        return f"    {block}"
    if isinstance(block, str):
        return _escaped(block)
    if isinstance(block, Picture):
        picture = f"![{_escaped(block.alternative)}](pictures/{block.key}.png)"
        numbers = "" if block.table is None else f" Numbers: {_link(block.table)}."
        return f"{picture}\n\n{_escaped(block.caption)}{numbers}"
    if isinstance(block, Table):
        return _table(block)
    return "\n".join(f"- {_escaped(point)}" for point in block)


def _table(table: Table) -> str:
    more = f" All numbers: {_link(table)}."
    if len(table) > _MOST_ROWS:
        more = f" The first {_MOST_ROWS} of {len(table)} rows; all{more[4:]}"
    shown = markdown_table(
        map(_escaped, table.frame.columns),
        (map(_cell, row) for row in table.rows(_MOST_ROWS)),
        {i for i, (_, first) in enumerate(table.columns) if is_number(first)},
    )
    return f"{_escaped(table.caption)}{more}\n\n{shown}"


def _link(table: Table) -> str:
    file = f"tables/{table.key}.csv"
    return f"[{_escaped(file)}]({file})"


def _cell(value: object) -> str:
    text = _escaped(cell_text(value))
    return f"<code>{text}</code>" if isinstance(value, Code) else text


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", escape(" ".join(text.split(" ")), quote=False))
