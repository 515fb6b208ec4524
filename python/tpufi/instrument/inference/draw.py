# SPDX-License-Identifier: Apache-2.0
"""Draws the faults of a batch: one bit flip for each item, none touching another."""

import numpy as np
import tensorflow as tf

from tpufi.errors import InputError
from tpufi.instrument.graph_site import GraphSite
from tpufi.instrument.instrumented import Instrumented
from tpufi.instrument.site_fault import SiteFault, bits_of, flip
from tpufi.sampling.draws import Draws

WEIGHTS = ("sites", "elements")


class BatchFaults:
    """The faults of a run, each a pure function of (seed, run, item).

    Args:
      fi: the program. A site can be struck if its first axis is the batch and it is in
        no loop.
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

    def sites(self, inputs: tf.Tensor) -> list[GraphSite]:
        """Return the sites of such a batch.

        Raises:
          InputError: there is none.
        """
        items = int(inputs.shape[0])
        sites = [
            site
            for site in self._fi.armed(inputs).sites
            if site.size and site.shape and site.shape[0] == items and not site.loops
        ]
        if not sites:
            raise InputError(
                f"no armed site has the batch of {items} as its first axis; arm others"
            )
        return sites

    def faults(self, run: int, inputs: tf.Tensor) -> list[SiteFault]:
        """Return the faults of a run, one for each item of its batch."""
        items = int(inputs.shape[0])
        sites = self.sites(inputs)
        sums = np.cumsum([s.size // items for s in sites]).tolist()
        result = []
        draws = Draws(self._seed, run)
        for item in range(items):
            if self._weight == "elements":
                site = sites[draws.choose(sums, f"site {item}")]
            else:
                site = sites[draws.below(len(sites), f"site {item}")]
            each = site.size // items
            element = item * each + draws.below(each, f"element {item}")
            bit = draws.below(bits_of(site.dtype), f"bit {item}")
            result.append(flip(site.id, element, bit))
        return result
