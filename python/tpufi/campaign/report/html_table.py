# SPDX-License-Identifier: Apache-2.0
"""A table as HTML; the script of the page adds buttons to sort, a field to filter."""

from html import escape

from tpufi.campaign.report.cells import NUMERIC, cell_text, sort_key
from tpufi.campaign.report.document import Column, Table

_MOST_ROWS = 2000


def table_html(table: Table) -> str:
    """Return the element; every text in it is escaped."""
    shown = table.rows[:_MOST_ROWS]
    caption = table.caption
    if len(shown) < len(table.rows):
        caption += (
            f" The first {len(shown)} of {len(table.rows)} rows; all are in "
            f"tables/{table.key}.csv."
        )
    head = "".join(_head(column) for column in table.columns)
    body = "\n".join(_row(table.columns, row) for row in shown)
    name = f"caption-{escape(table.key)}"
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-labelledby="{name}">\n'
        f'<table id="table-{escape(table.key)}">\n'
        f'<caption id="{name}">{escape(caption)}</caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</div>"
    )


def _head(column: Column) -> str:
    kind = ' class="number"' if column.kind in NUMERIC else ""
    return f'<th scope="col"{kind}>{escape(column.name)}</th>'


def _row(columns: tuple[Column, ...], row: tuple) -> str:
    cells = []
    for place, (column, value) in enumerate(zip(columns, row, strict=True)):
        text = escape(cell_text(value, column.kind))
        if column.kind == "code":
            text = f"<code>{text}</code>"
        if column.kind in NUMERIC:
            key = sort_key(value, column.kind)
            cells.append(f'<td class="number" data-key="{key}">{text}</td>')
        elif place == 0:
            cells.append(f'<th scope="row">{text}</th>')
        else:
            cells.append(f"<td>{text}</td>")
    return f"<tr>{''.join(cells)}</tr>"
