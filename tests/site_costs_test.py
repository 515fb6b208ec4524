# SPDX-License-Identifier: Apache-2.0
"""What sites are expected to cost, and the groups that are made of it."""

import pytest

from tests.tiny_workload import TINY
from tpufi.layers.site_costs import enough_groups, site_costs
from tpufi.layers.site_groups import site_groups
from tpufi.models import WORKLOADS, workload
from tpufi.site_table import Site, SiteTable


def _cost(*sites: Site) -> list[float]:
    return site_costs(SiteTable(sites))


@pytest.mark.parametrize("name", WORKLOADS)
def test_groups_of_every_workload_cost_about_the_same(name):
    table = workload(name).sites(128)
    costs, count = site_costs(table), enough_groups(table)
    shares = [sum(costs[i] for i in ids) for ids in site_groups(table, count)]
    assert 2 <= count <= 64
    # A group ends at a whole site, so one dear site may be all of it.
    assert max(shares) <= max(1.2 * sum(costs) / count, max(costs))


def test_an_operand_of_a_depthwise_convolution_costs_more_than_of_another():
    shape = (128, 8, 8, 64)
    deep = _cost(
        Site("a", "forward", "input", shape),
        Site("a", "forward", "weight", (3, 3, 64, 1)),
        Site("a", "forward", "output", shape),
    )
    flat = _cost(
        Site("a", "forward", "input", shape),
        Site("a", "forward", "weight", (3, 3, 64, 64)),
        Site("a", "forward", "output", shape),
    )
    assert deep[0] > 5 * flat[0]
    assert deep[2] == flat[2]


def test_the_update_of_a_large_weight_costs_more_than_a_pass_over_it():
    shape = (3, 3, 512, 512)
    update, passed = _cost(
        Site("a/kernel", "update", "output", shape),
        Site("a", "grad_wt", "output", shape),
    )
    assert update > 3 * passed


def test_a_small_workload_gets_a_number_of_groups_in_the_range():
    assert 2 <= enough_groups(TINY.sites(4)) <= 64
    assert enough_groups(SiteTable([Site("a", "forward", "input", (1,))])) <= 64
