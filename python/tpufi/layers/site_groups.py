# SPDX-License-Identifier: Apache-2.0
"""The groups of sites that share a branch of a grouped program (decision 0015).

A group is a run of neighbours in the site table: a stretch of layers with all their
directions and operands, or a stretch of weights with their updates. Neighbours strike
the same tensors and the same shapes, and share what it costs to find the place.
"""

from collections.abc import Sequence

from tpufi.errors import InputError
from tpufi.layers.site_costs import site_costs
from tpufi.site_table import SiteTable

Groups = tuple[tuple[int, ...], ...]


def site_groups(table: SiteTable, groups: int | Sequence[int]) -> Groups:
    """Return the ids of the sites of each group.

    Args:
      table: the sites of a workload.
      groups: how many groups that cost about the same, >= 1, at most as many as there
        are sites are made; or the first site of each group.

    Returns:
      Ids in order; every site is in one group, and no group is empty.

    Raises:
      InputError: what are given as first sites are none.
    """
    if isinstance(groups, int):
        return _cut(site_costs(table), min(groups, len(table)), 0)
    ends = [*groups[1:], len(table)]
    if [*groups[:1]] != [0] or any(a >= b for a, b in zip(groups, ends, strict=True)):
        raise InputError(
            f"groups begin at sites {list(groups)}; give increasing numbers from 0 to "
            f"{len(table) - 1}, the first of them 0, or how many groups there are"
        )
    return tuple(tuple(range(a, b)) for a, b in zip(groups, ends, strict=True))


def halved(table: SiteTable, ids: Sequence[int]) -> Groups:
    """Return two groups that cost about the same in place of one of two or more."""
    costs = site_costs(table)[ids[0] : ids[-1] + 1]
    return _cut(costs, 2, ids[0])


def _cut(costs: Sequence[float], count: int, offset: int) -> Groups:
    """Return runs of sites that cost about the same; the first is `offset`."""
    groups, first, left = [], 0, sum(costs)
    for more in range(count, 0, -1):
        last = _end(costs, first, left / more, len(costs) - more + 1)
        groups.append(tuple(range(offset + first, offset + last)))
        left -= sum(costs[first:last])
        first = last
    return tuple(groups)


def _end(costs: Sequence[float], first: int, share: float, latest: int) -> int:
    """Return where a group ends that starts at `first` and costs about `share`."""
    end, cost = first + 1, costs[first]
    while end < latest and cost + costs[end] / 2 <= share:
        cost += costs[end]
        end += 1
    return end
