# SPDX-License-Identifier: Apache-2.0
"""The groups of sites that share a branch of a grouped program (decision 0015).

A group is a run of neighbours in the site table: a stretch of layers with all their
directions and operands, or a stretch of weights with their updates. Neighbours strike
the same tensors and the same shapes, and share what it costs to find the place.
"""

from collections.abc import Sequence

from tpufi.site_table import Site, SiteTable

# A TPU takes about as long for the smallest kernel as for so many elements.
_SMALLEST = 20_000
# Elements of a weight's update cost several times as much as others (decision 0015).
_UPDATE = 3


def site_groups(table: SiteTable, count: int) -> tuple[tuple[int, ...], ...]:
    """Return the ids of the sites of each group.

    Args:
      table: the sites of a workload.
      count: how many groups, >= 1; at most as many as there are sites are made.

    Returns:
      Ids in order; every site is in one group, and no group is empty.
    """
    count = min(count, len(table))
    costs = [_cost(site) for site in table]
    groups, first, left = [], 0, sum(costs)
    for more in range(count, 0, -1):
        last = _end(costs, first, left / more, len(table) - more + 1)
        groups.append(tuple(range(first, last)))
        left -= sum(costs[first:last])
        first = last
    return tuple(groups)


def _cost(site: Site) -> int:
    """Return about how much a site costs a branch, in elements of a layer's tensor."""
    return _SMALLEST + site.size * (_UPDATE if site.direction == "update" else 1)


def _end(costs: Sequence[float], first: int, share: float, latest: int) -> int:
    """Return where a group ends that starts at `first` and costs about `share`."""
    end, cost = first + 1, costs[first]
    while end < latest and cost + costs[end] / 2 <= share:
        cost += costs[end]
        end += 1
    return end
