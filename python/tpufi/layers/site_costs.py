# SPDX-License-Identifier: Apache-2.0
"""What a site costs the branch of a grouped program, and how many groups are enough.

Estimated cycles of a TPU v5e, fitted to the branches in docs/results/tpu.json (decision
0015). They say which sites cost more than others, not what a program will take.
"""

import math

from tpufi.site_table import UPDATE, Site, SiteTable

_MILLION = 1e6
# Of a site of a pass, and of a million elements of it.
_SITE, _ELEMENTS = 600, 650
# An operand of a depthwise convolution is struck once for each tap of its window.
_DEPTHWISE_ELEMENTS = 21_000
_UPDATE_SITE, _UPDATE_ELEMENTS = 300, 4_500
# A step without sites: of a tensor of a pass, and of a million elements.
_TENSOR, _PASS_ELEMENTS, _WEIGHT_ELEMENTS = 700, 3_000, 14_000
# What a branch may add to the step.
_SHARE = 0.02
_FEWEST, _MOST = 2, 64


def site_costs(table: SiteTable) -> list[float]:
    """Return about how many cycles each site adds to the step of its branch."""
    depthwise = {site.layer for site in table if _is_depthwise_kernel(site)}
    return [_cost(site, site.layer in depthwise) for site in table]


def enough_groups(table: SiteTable) -> int:
    """Return how many groups keep a struck step near the cost of one without sites.

    Returns:
      A number in [2, 64], at which a group is expected to add 2 % on the average.
    """
    step = sum(_step_cost(site) for site in table)
    count = math.ceil(sum(site_costs(table)) / (_SHARE * step))
    return min(max(count, _FEWEST), _MOST)


def _is_depthwise_kernel(site: Site) -> bool:
    """Whether a site is the kernel [height, width, channels, 1] of a layer."""
    kernel = site.direction == "forward" and site.operand == "weight"
    return kernel and len(site.shape) == 4 and site.shape[2] > 1 == site.shape[3]


def _cost(site: Site, depthwise: bool) -> float:
    millions = site.size / _MILLION
    if site.direction == UPDATE:
        return _UPDATE_SITE + _UPDATE_ELEMENTS * millions
    tapped = site.operand == "input" or site.direction == "grad_wt"
    each = _DEPTHWISE_ELEMENTS if depthwise and tapped else _ELEMENTS
    return _SITE + each * millions


def _step_cost(site: Site) -> float:
    """Return about how many cycles the step without sites takes for a tensor."""
    millions = site.size / _MILLION
    if site.direction == UPDATE:
        return _WEIGHT_ELEMENTS * millions
    return _TENSOR + _PASS_ELEMENTS * millions
