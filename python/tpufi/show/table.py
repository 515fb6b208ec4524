# SPDX-License-Identifier: Apache-2.0
"""The tables of a fault's spread, for a terminal."""

from rich.table import Table

from tpufi.show.spread import Change, Spread
from tpufi.site_table import PASSES, UPDATE


def spread_tables(spread: Spread, whole: bool = False) -> tuple[Table, ...]:
    """Return share of changed elements and largest relative change, by layer.

    Args:
      spread: the comparison.
      whole: also layers in which nothing changed.

    Returns:
      The passes of each layer, then the update of each weight if any is to be shown.
    """
    table = _table("layer", PASSES)
    layers = dict.fromkeys(
        layer for layer, direction in spread.layers if direction in PASSES
    )
    for layer in layers:
        found = [spread.layers.get((layer, direction)) for direction in PASSES]
        if whole or any(change and change.changed for change in found):
            table.add_row(layer, *map(_cell, found))
    updates = _table("weight", (UPDATE,))
    for (weight, direction), change in spread.layers.items():
        if direction == UPDATE and (whole or change.changed):
            updates.add_row(weight, _cell(change))
    return (table, updates) if updates.row_count else (table,)


def _table(what: str, directions: tuple[str, ...]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(what, overflow="fold")
    for direction in directions:
        table.add_column(direction, justify="right")
    return table


def _cell(change: Change | None) -> str:
    if change is None:
        return ""
    if not change.changed:
        return "-"
    lost = f", {change.not_finite} not finite" if change.not_finite else ""
    return f"{100 * change.share:.3g}% {change.relative:.1e}{lost}"
