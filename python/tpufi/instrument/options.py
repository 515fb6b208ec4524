# SPDX-License-Identifier: Apache-2.0
"""How the sites of a program are made."""

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Options:
    """How sites are made.

    Args:
      gradient: attribute of the fault op (`tpufi.ops.gradient_attribute`).
      bounds: smallest and largest value that leaves a floating-point site, by its name;
        NaN becomes the smallest. None: any value does.
      nan_guard: whether NaN and Inf become 0 behind each floating-point site.
      operands: whether what a multiplication reads is a site too.
      ranges: whether the record tells the range of each floating-point site, instead of
        faults at it (`tpufi.instrument.profile.ranges`).
    """

    gradient: str
    bounds: Mapping[str, tuple[float, float]] | None = None
    nan_guard: bool = False
    operands: bool = False
    ranges: bool = False
