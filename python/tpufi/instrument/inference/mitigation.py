# SPDX-License-Identifier: Apache-2.0
"""Range restriction: values outside what a site had without faults are brought back.

Bounds are put behind the sites of a second instrumented program
(`tpufi.instrument(..., bounds=...)`); the same faults in both are an A/B test.

Source: Chen et al., DSN'21 (Ranger): range restriction; restated, not its code.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tpufi.element import from_words
from tpufi.errors import InputError
from tpufi.instrument.graph_site import GraphSite
from tpufi.instrument.instrumented import Instrumented
from tpufi.instrument.planned import peek
from tpufi.instrument.prefix.pure import first_effect
from tpufi.instrument.prefix.ranges import SiteRanges


class Bounds(NamedTuple):
    """Smallest and largest value of a site; NaN becomes the smallest."""

    low: float
    high: float


def activation_bounds(
    fi: Instrumented, batches: Sequence[tf.Tensor]
) -> dict[str, Bounds]:
    """Return the bounds of each armed floating-point site over some inputs.

    Args:
      fi: the program.
      batches: inputs, each of the same shape.

    Raises:
      InputError: no batch.
    """
    if not batches:
        raise InputError("bounds need at least one batch of inputs")
    found: dict[str, Bounds] = {}

    def note(site: GraphSite, low: float, high: float) -> None:
        old = found.get(site.name, Bounds(low, high))
        found[site.name] = Bounds(min(low, old.low), max(high, old.high))

    told: dict[int, SiteRanges] = {}
    for batch in batches:
        armed = fi.armed(batch)
        if id(armed) not in told and not first_effect(armed.definition, armed.library):
            told[id(armed)] = SiteRanges(armed)
        ranges = {}
        if id(armed) in told:
            ranges = told[id(armed)].of(armed.program.flat((batch,), {}))
        for site, ends in ranges.items():
            note(armed.site(site), *ends)
        # What is left runs more than once, or perhaps not at all.
        if all(s.id in ranges for s in armed.sites if "float" in s.dtype and s.size):
            continue
        for execution in fi.executions(batch):
            site = execution.site
            if "float" in site.dtype and site.id not in ranges:
                words = peek(fi, execution, range(execution.size), (batch,), {})
                values = from_words(words, site.dtype).astype(np.float64)
                note(site, float(values.min()), float(values.max()))
    return found
