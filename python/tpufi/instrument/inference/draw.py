# SPDX-License-Identifier: Apache-2.0
"""Draws the faults of a batch: one bit flip for each item, none touching another."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tpufi.element import width_of
from tpufi.errors import InputError
from tpufi.faults.draws import Draws
from tpufi.instrument.graph_site import GraphSite
from tpufi.instrument.instrumented import Instrumented
from tpufi.instrument.site_fault import SiteFault, flip

WEIGHTS = ("sites", "elements")


class BatchFaults:
    """The faults of a run, each a pure function of (seed, run, item).

    Args:
      fi: the program. Faults can be injected into a site if its first axis is the batch
        and it is in no loop.
      seed: of all draws.
      weight: `sites` draws a site uniformly, `elements` an element of all sites.

    Raises:
      InputError: an unknown weight.
    """

    def __init__(self, fi: Instrumented, seed: int, weight: str):
        if weight not in WEIGHTS:
            raise InputError(
                f"weight {weight!r} is unknown; known: {', '.join(WEIGHTS)}"
            )
        self._fi, self._seed, self._weight = fi, seed, weight

    def faults(self, run: int, inputs: tf.Tensor) -> list[SiteFault]:
        """Return the faults of a run, one for each item of its batch."""
        items = int(inputs.shape[0])
        sites = injectable_sites(self._fi, inputs)
        draw = ItemFaults(sites, items, self._seed, self._weight)
        return [draw.fault(run, item, item) for item in range(items)]


class ItemFaults:
    """Faults of single items of a batch.

    Args:
      sites: those that faults can be injected into.
      items: of a batch, the first axis of each site.
      seed: of all draws.
      weight: among `WEIGHTS`.
    """

    def __init__(self, sites: Sequence[GraphSite], items: int, seed: int, weight: str):
        self._sites, self._items = tuple(sites), items
        self._seed, self._weight = seed, weight
        self._sums = np.cumsum([s.size // items for s in sites]).tolist()

    def fault(self, run: int, item: int, position: int) -> SiteFault:
        """Return the fault of an item in a run.

        Args:
          run: number of the run.
          item: number of the item, of all items.
          position: where the item is in its batch.
        """
        draws = Draws(self._seed, run)
        if self._weight == "elements":
            site = self._sites[draws.choose(self._sums, f"site {item}")]
        else:
            site = self._sites[draws.below(len(self._sites), f"site {item}")]
        each = site.size // self._items
        element = position * each + draws.below(each, f"element {item}")
        return flip(site.id, element, draws.below(width_of(site.dtype), f"bit {item}"))


def injectable_sites(fi: Instrumented, inputs: tf.Tensor) -> list[GraphSite]:
    """Return the sites of a batch of which each item has a part of its own.

    Raises:
      InputError: there is none.
    """
    items = int(inputs.shape[0])
    sites = [
        site
        for site in fi.armed(inputs).sites
        if site.size and site.shape and site.shape[0] == items and not site.loops
    ]
    if not sites:
        raise InputError(
            f"no armed site has the batch of {items} as its first axis; arm others"
        )
    return sites
