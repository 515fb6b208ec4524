# SPDX-License-Identifier: Apache-2.0
"""The families of a campaign: model, layer, depth, direction, operand, bit, ..."""

from collections.abc import Callable

import numpy as np

from tpufi.campaign.report.columns import Columns
from tpufi.campaign.report.family import Family
from tpufi.campaign.report.layer_order import LayerOrder
from tpufi.campaign.report.printable import printable
from tpufi.campaign.report.value_class import value_class

_BANDS = 10


def by_text(columns: Columns, key: str, title: str) -> Family:
    """Return the family of a column of names, by name."""
    labels = tuple(map(printable, columns.values[key]))
    return Family(key, title, labels, columns.codes[key])


def by_layer(columns: Columns, order: LayerOrder) -> Family:
    """Return the family of layers, from the input of the network to its output."""
    names = columns.values["layer"]
    ranked = sorted(range(len(names)), key=lambda i: order.sort_key(names[i]))
    place = np.empty(len(names), np.int32)
    place[ranked] = np.arange(len(names))
    labels = tuple(printable(names[i]) for i in ranked)
    return Family("layer", "layer", labels, place[columns.codes["layer"]])


def by_depth(columns: Columns, order: LayerOrder, most: int = _BANDS) -> Family | None:
    """Return bands of the depth of the layer in the network; None: it is not known.

    Args:
      columns: of the journal.
      order: of the layers.
      most: bands there can be, >= 1.
    """
    if not order.position:
        return None
    bands = min(most, len(order.position))
    width = len(order.position) / bands
    band = [
        int(place / width) if (place := order.sort_key(name)[0]) / width < bands else -1
        for name in columns.values["layer"]
    ]
    labels = tuple(f"{i / bands:.0%} to {(i + 1) / bands:.0%}" for i in range(bands))
    codes = np.array(band, np.int32)[columns.codes["layer"]]
    return Family("depth", "layer depth", labels, codes)


def by_number(columns: Columns, key: str, title: str) -> Family:
    """Return the family of a column of integers; without a number: of none."""
    numbers = tuple(value for value in columns.values[key] if value is not None)
    codes = columns.codes[key]
    codes = np.where(codes < len(numbers), codes, -1)
    return Family(key, title, tuple(map(str, numbers)), codes, numbers)


def by_value_class(columns: Columns, order: LayerOrder) -> Family:
    """Return the family of value classes: what the fault writes."""
    site = [columns.values[key] for key in ("layer", "direction", "operand")]

    def label(
        layer: int, direction: int, operand: int, bit: int, operation: int
    ) -> str:
        name = tuple(v[i] for v, i in zip(site, (layer, direction, operand)))  # noqa: B905
        return value_class(
            order.dtypes.get(name),
            columns.values["bit"][bit],
            columns.values["operation"][operation],
        )

    keys = ("layer", "direction", "operand", "bit", "operation")
    return _by_several(columns, keys, label, "value_class", "value class")


def by_columns(columns: Columns, keys: tuple[str, ...]) -> Family:
    """Return the family of what several columns say together."""

    def label(*places: int) -> str:
        values = (columns.values[k][i] for k, i in zip(keys, places, strict=True))
        return printable(" ".join(map(str, values)))

    return _by_several(columns, keys, label, "-".join(keys), ", ".join(keys))


def _by_several(
    columns: Columns,
    keys: tuple[str, ...],
    label: Callable[..., str],
    key: str,
    title: str,
) -> Family:
    sizes = [len(columns.values[k]) for k in keys]
    together = np.zeros(len(columns), np.int64)
    for name, size in zip(keys, sizes, strict=True):
        together = together * size + columns.codes[name]
    found, inverse = np.unique(together, return_inverse=True)
    places = zip(*np.unravel_index(found, sizes), strict=True)
    labels = [label(*map(int, place)) for place in places]
    different = sorted(set(labels))
    codes = np.array([different.index(text) for text in labels], np.int32)
    return Family(key, title, tuple(different), codes[inverse])
