# SPDX-License-Identifier: Apache-2.0
"""DenseNet-121 is the artefact's network, and its gradient is right."""

import dataclasses
import math
import pathlib

import pytest

from tests.artefact_tables import artefact_sites
from tests.disarmed_steps import check_disarmed_steps
from tests.plain_model import check_whole_gradient
from tpufi.injection_csv import read_injection
from tpufi.layers import Conv2D
from tpufi.models import workload
from tpufi.models.densenet import BLOCKS, architecture
from tpufi.sampling_lists import sampling_list
from tpufi.workload import Workload

ROOT = pathlib.Path(__file__).resolve().parents[1]
PUBLISHED = sorted((ROOT / "injections" / "densenet").glob("*.csv"))


def test_parameters_and_statistics_are_the_artefacts():
    parameters = workload("densenet").parameters
    assert len(parameters) == 490
    assert sum(math.prod(w.shape) for w in parameters) == 10_106_698
    statistics = workload("densenet").statistics
    assert sum(math.prod(w.shape) for w in statistics) == 81_600


def test_operands_of_all_convolutions_have_the_artefacts_shapes():
    work, artefact = workload("densenet"), artefact_sites("densenet")
    convolutions = [la.name for la, _ in work.layers if isinstance(la, Conv2D)]
    ours = {s.name: s.shape for s in work.sites() if s.layer in set(convolutions)}
    assert len(convolutions) == 124
    assert ours == artefact


def test_all_layers_of_the_artefacts_sampling_list_have_sites():
    table = workload("densenet").sites()
    layers = sampling_list("densenet", "fwrd_inject")
    assert len(layers) == 120
    for layer in layers:
        for direction in ("forward", "grad_in", "grad_wt"):
            assert f"{layer}/{direction}/output" in table


def test_a_forward_pass_multiplies_as_often_as_in_the_artefact():
    macs = sum(layer.macs(shape, 1) for layer, shape in workload("densenet").layers)
    assert macs == pytest.approx(67.3e6, rel=1e-3)


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda p: p.stem)
def test_published_injections_name_elements_of_this_network(path):
    injection = read_injection(path, sites=lambda name: workload(name).sites())
    assert injection.model == "densenet"
    assert injection.site_name in workload("densenet").sites()


def test_both_published_injections_are_here():
    assert len(PUBLISHED) == 2


# The whole network takes minutes; it has the same kinds of blocks, only more of them.
every_size = pytest.mark.parametrize(
    "blocks",
    [(1, 2), pytest.param(BLOCKS, marks=pytest.mark.slow)],
    ids=["small", "whole"],
)


def _of_size(blocks: tuple[int, ...]) -> Workload:
    model = architecture(dropout=0.5, blocks=blocks)
    return dataclasses.replace(workload("densenet"), model=model)


@every_size
def test_the_whole_gradient_equals_autodiff_of_a_plain_network(blocks):
    check_whole_gradient(_of_size(blocks))


@every_size
def test_disarmed_steps_equal_steps_without_sites_by_bits(blocks):
    check_disarmed_steps(_of_size(blocks))
