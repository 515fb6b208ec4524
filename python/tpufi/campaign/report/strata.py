# SPDX-License-Identifier: Apache-2.0
"""What tells experiments apart: columns of the journal, and three more.

The workload tells the order of the layers and the element types of the sites.
"""

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

import pandas as pd

from tpufi.element import ELEMENTS
from tpufi.errors import InputError
from tpufi.models import workload
from tpufi.site_table import Site

# In the order of the report.
_TITLES = {
    "model": "fault model",
    "direction": "direction",
    "operand": "operand",
    "op": "operation type",
    "moment": "moment",
    "value_class": "value class",
    "layer": "layer",
    "bit": "bit",
    "epoch": "epoch",
    "depth": "layer depth",
}
_SITE = ("layer", "direction", "operand")
_BANDS = 10
_OPERATIONS = {
    "flip": "several bits",
    "zero": "zero",
    "replace": "a constant value, or one of another step",
    "random": "random finite values",
    "copy": "values of other positions",
    "copy_random": "values of other positions",
    "error_rate": "bits at an error rate",
    "add": "added noise",
    "multiply": "relative noise",
    "carry": "carries",
    "corrupted": "several bits",
    "missing": "messages that are missing",
    "twice": "messages that come twice",
    "stale": "messages of the step before",
}


@dataclasses.dataclass(frozen=True)
class LayerOrder:
    """Layers from the input of the network to its output.

    Args:
      position: layer -> place; empty: the journal names no workload that is known here
        and no sites of a program, so layers stand by name, and element types are not
        known.
      dtypes: (layer, direction, operand) -> element type.
      dtype: of the workload, which a broken unit computes in; None: not known.
    """

    position: Mapping[str, int]
    dtypes: Mapping[tuple[str, str, str], str]
    dtype: str | None = None

    @classmethod
    def of(cls, plan: Mapping[str, object]) -> "LayerOrder":
        """Return the order of a plan's workload, or of its program.

        Args:
          plan: of the manifest; one of neither gives an order by name.
        """
        if isinstance(listed := plan.get("sites"), list):
            rows = [row for row in listed if isinstance(row, list) and len(row) == 7]
            layers = dict.fromkeys(row[1] or row[0] for row in rows)
            return cls(
                {layer: place for place, layer in enumerate(layers)},
                {(row[1] or row[0], row[2], row[3]): row[5] for row in rows},
            )
        try:
            known = workload(str(plan.get("workload")))
            sites: Iterable[Site] = known.sites(1)
        except InputError:
            return cls({}, {})
        sites = tuple(sites)
        # An update names a weight, `layer/weight`; its place is that of the layer.
        layers = dict.fromkeys(site.layer.split("/")[0] for site in sites)
        return cls(
            {layer: place for place, layer in enumerate(layers)},
            {(s.layer, s.direction, s.operand): s.dtype for s in sites},
            known.dtype,
        )

    def dtype_of(self, layer: str, direction: str, operand: str) -> str | None:
        """Return the element type of a site, or of what a broken unit computes."""
        return self.dtypes.get((layer, direction, operand), self.dtype)

    def sort_key(self, layer: str) -> tuple:
        """Return what to sort layers by; unknown ones come last, by name."""
        weight_of = self.position.get(layer.split("/")[0], len(self.position))
        place = self.position.get(layer, weight_of)
        return place, tuple(
            (int(part), "") if part.isdigit() else (-1, part)
            for part in re.split(r"([0-9]+)", layer)
        )


def add_strata(
    experiments: pd.DataFrame, order: LayerOrder, by: Sequence[str]
) -> dict[str, str]:
    """Make all that tells experiments apart an ordered column of categories.

    Args:
      experiments: of `read_experiments`; gets the columns.
      order: of the layers.
      by: columns that the user wants to see together.

    Returns:
      Name of the column -> title.
    """
    titles = dict(_TITLES)
    if not any(experiments["op"].cat.categories):
        del titles["op"]  # Of a journal from before there were types.
    if not len(experiments["moment"].cat.categories):
        del titles["moment"]
    layers = sorted(experiments["layer"].cat.categories, key=order.sort_key)
    experiments["layer"] = experiments["layer"].cat.reorder_categories(layers)
    for name in ("bit", "epoch"):
        experiments[name] = experiments[name].astype("category")
    experiments["value_class"] = _together(
        experiments,
        (*_SITE, "bit", "operation"),
        lambda *values: value_class(order.dtype_of(*values[:3]), *values[3:]),
    )
    if order.position:
        experiments["depth"] = depth_bands(experiments["layer"], order)
    if len(by) > 1:
        titles["-".join(by)] = ", ".join(by)
        experiments["-".join(by)] = _together(
            experiments, by, lambda *values: " ".join(values)
        )
    return {name: title for name, title in titles.items() if name in experiments}


def depth_bands(
    layers: pd.Series, order: LayerOrder, most: int = _BANDS
) -> pd.Categorical:
    """Return bands of the depth of the layer in the network; none if it is unknown.

    Args:
      layers: categories.
      order: of the layers; of a workload that is known.
      most: bands there can be, >= 1.
    """
    bands = min(most, len(order.position))
    width = len(order.position) / bands
    labels = [f"{i / bands:.0%} to {(i + 1) / bands:.0%}" for i in range(bands)]
    places = (order.sort_key(name)[0] / width for name in layers.cat.categories)
    codes = [int(place) if place < bands else -1 for place in places]
    return pd.Categorical.from_codes(codes, labels).take(layers.cat.codes)


def value_class(dtype: str | None, bit: int | None, operation: str) -> str:
    """Return the class of the value that a fault writes, as far as the journal tells.

    Args:
      dtype: element type of the site; None: not known.
      bit: the one bit that the fault changes; None: it changes more.
      operation: what is done to an element.

    Example:
      >>> value_class("float32", 30, "flip")
      'exponent bit'
    """
    if bit is None:
        return _OPERATIONS.get(operation, operation)
    return bit_field(dtype, bit)


def bit_field(dtype: str | None, bit: int) -> str:
    """Return in which field of the element a bit is."""
    layout = ELEMENTS.get(dtype or "")
    if layout is None:
        return "one bit"
    if not layout.exponent_bits:
        return "bit of an integer"
    if bit >= layout.exponent_bits + layout.mantissa_bits:
        return "sign bit"
    return "exponent bit" if bit >= layout.mantissa_bits else "mantissa bit"


def _together(
    experiments: pd.DataFrame, columns: Sequence[str], label: Callable[..., str]
) -> pd.Categorical:
    """Return the category that a function makes of several columns."""
    groups = experiments.groupby(list(columns), observed=True, dropna=False)
    found = groups.size().index
    labels = pd.Categorical(
        [label(*(None if pd.isna(v) else v for v in values)) for values in found]
    )
    return labels.take(groups.ngroup().to_numpy())
