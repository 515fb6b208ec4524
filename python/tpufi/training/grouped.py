# SPDX-License-Identifier: Apache-2.0
"""One program with a branch for each group of sites around the whole step.

What a step costs is the branch that runs: without a fault that of a program without
sites, with a fault that of the struck site's group. All are in one compiled program,
and the placed fault chooses (decision 0015).
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import tensorflow as tf

from tpufi.layers.placement import NO_GROUP, Placed, Placement
from tpufi.layers.site_costs import enough_groups
from tpufi.layers.site_groups import site_groups
from tpufi.site_table import SiteTable

GROUPED = "grouped"
Cut = int | Sequence[int] | None
Result = TypeVar("Result")


def placement(table: SiteTable, lowering: str, groups: Cut = None) -> Placement:
    """Return the groups of a program with lowering `lean`, one, or `grouped`.

    Args:
      table: the sites of the program.
      lowering: one of the two.
      groups: how many groups `grouped` has, >= 1, or the first site of each; None:
        enough for a struck step to cost about 2 % more on a TPU (`enough_groups`).
    """
    if lowering != GROUPED:
        groups = 1
    elif groups is None:
        groups = enough_groups(table)
    return Placement(table, site_groups(table, groups))


def choose_group(groups: int, placed: Placed, build: Callable[[int], Result]) -> Result:
    """Build a branch without sites and one for each group; run that of the fault.

    Args:
      groups: how many groups there are.
      placed: the fault.
      build: builds the branch of a group, 0 that without sites; all return the same
        structure.
    """
    branches = [
        lambda group=group: build(group) for group in range(NO_GROUP, groups + 1)
    ]
    return tf.switch_case(placed.group, branches)
