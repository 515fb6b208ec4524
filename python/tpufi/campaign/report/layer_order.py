# SPDX-License-Identifier: Apache-2.0
"""What the workload tells about the sites of a journal: order of layers, dtypes."""

import dataclasses
import re
from collections.abc import Iterable, Mapping

from tpufi.errors import InputError
from tpufi.models import workload
from tpufi.site_table import Site


@dataclasses.dataclass(frozen=True)
class LayerOrder:
    """Layers from the input of the network to its output.

    Args:
      workload: its name; empty: the journal names none that is known here, so layers
        stand by name and element types are unknown.
      position: layer -> place.
      dtypes: (layer, direction, operand) -> element type.
    """

    workload: str
    position: Mapping[str, int]
    dtypes: Mapping[tuple[str, str, str], str]

    @classmethod
    def of(cls, name: object) -> "LayerOrder":
        """Return the order of a workload.

        Args:
          name: as the plan names it; anything else gives an order by name.
        """
        try:
            sites: Iterable[Site] = workload(str(name)).sites(1)
        except InputError:
            return cls("", {}, {})
        sites = tuple(sites)
        # An update names a weight, `layer/weight`; its place is that of the layer.
        layers = dict.fromkeys(site.layer.split("/")[0] for site in sites)
        return cls(
            str(name),
            {layer: place for place, layer in enumerate(layers)},
            {(s.layer, s.direction, s.operand): s.dtype for s in sites},
        )

    def sort_key(self, layer: str) -> tuple:
        """Return what to sort layers by; unknown ones come last, by name."""
        place = self.position.get(layer.split("/")[0], len(self.position))
        return place, tuple(
            (int(part), "") if part.isdigit() else (-1, part)
            for part in re.split(r"([0-9]+)", layer)
        )
