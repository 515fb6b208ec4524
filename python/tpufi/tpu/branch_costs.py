# SPDX-License-Identifier: Apache-2.0
"""What a step takes by way of each branch of a grouped program (decision 0015)."""

from collections.abc import Sequence

from tpufi.errors import InputError
from tpufi.layers.placement import Placement
from tpufi.site_table import SiteTable

NO_FAULT = "no fault"


def branch_costs(where: Placement, cycles: Sequence[int], clean: int) -> list[dict]:
    """Return the cost of each branch, that of no fault first.

    Args:
      where: the groups of the program.
      cycles: estimated cycles of the whole program by way of each branch.
      clean: estimated cycles of the program without sites.

    Returns:
      For each branch what it strikes, how many sites, its cycles and their ratio.

    Raises:
      InputError: the compiler did not keep the branches.
    """
    table, ids = where.table, where.groups
    if len(cycles) != len(ids) + 1:
        raise InputError(
            f"the compiled program has {len(cycles)} branches, expected one without a "
            f"fault and {len(ids)} for groups; give --groups 2 or more, and use the "
            "versions in requirements-tpu.lock"
        )
    names = [NO_FAULT, *(group_name(table, group) for group in ids)]
    sites = [0, *map(len, ids)]
    return [
        {
            "name": name,
            "sites": count,
            "cycles": taken,
            "ratio": round(taken / clean, 4),
        }
        for name, count, taken in zip(names, sites, cycles, strict=True)
    ]


def group_name(table: SiteTable, ids: Sequence[int]) -> str:
    """Return what a group of sites is called: its first and its last."""
    return f"{table[ids[0]].name} to {table[ids[-1]].name}"


def mean_ratio(branches: Sequence[dict]) -> float:
    """Return the mean ratio of a fault that strikes any site with the same chance."""
    sites = sum(branch["sites"] for branch in branches)
    return sum(branch["sites"] * branch["ratio"] for branch in branches) / sites
