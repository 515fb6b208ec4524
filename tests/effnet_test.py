# SPDX-License-Identifier: Apache-2.0
"""EfficientNet-B0 is the artefact's network, and its gradient is right."""

import dataclasses
import math
import pathlib

import pytest

from tests.artefact_tables import artefact_sites
from tests.disarmed_steps import check_disarmed_steps
from tests.plain_model import check_whole_gradient
from tpufi.faults.artefact_lists import sampling_list
from tpufi.faults.csv import read_injection
from tpufi.layers import ChannelProduct, Conv2D, Gate, GlobalAveragePooling, Swish
from tpufi.models import workload
from tpufi.models.effnet import STAGES, architecture
from tpufi.workload import Workload

ROOT = pathlib.Path(__file__).resolve().parents[1]
PUBLISHED = sorted((ROOT / "injections" / "effnet").glob("*.csv"))
# Parameter tensors, parameters, and numbers in moving averages. The reference has no
# expansion in block 1: a kernel, gamma and beta less.
COUNTS = {
    "effnet": (216, 7_156_746, 42_080),
    "effnet_reference": (213, 4_020_358, 42_080 - 2 * 32),
}
# Without expansion; with a shortcut; 5x5 with and without stride.
SHORT = ((16, 1, 1, 3, 1), (24, 1, 6, 5, 2), (24, 1, 6, 5, 1))


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_and_statistics_are_as_counted_elsewhere(name):
    parameters, statistics = workload(name).parameters, workload(name).statistics
    assert COUNTS[name] == (
        len(parameters),
        sum(math.prod(w.shape) for w in parameters),
        sum(math.prod(w.shape) for w in statistics),
    )


def test_operands_of_all_convolutions_have_the_artefacts_shapes():
    work, artefact = workload("effnet"), artefact_sites("effnet")
    convolutions = [la.name for la, _ in work.layers if isinstance(la, Conv2D)]
    ours = {s.name: s.shape for s in work.sites() if s.layer in set(convolutions)}
    assert len(convolutions) == 66
    assert ours == artefact


def test_the_sampling_list_names_exactly_the_convolutions():
    layers = [layer for layer, _ in workload("effnet").layers]
    convolutions = {la.name for la in layers if isinstance(la, Conv2D)}
    assert set(sampling_list("effnet", "fwrd_inject")) == convolutions


def test_multiply_accumulates_are_those_counted_for_the_artefact():
    macs = sum(layer.macs(shape, 1) for layer, shape in workload("effnet").layers)
    assert macs == pytest.approx(11.9e6, rel=5e-3)


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("effnet", ("bn2", "se_product", "swish2")),
        ("effnet_reference", ("bn2", "swish2", "se_product")),
    ],
)
def test_squeeze_excite_stands_where_it_should(name, order):
    names = [layer.name for layer, _ in workload(name).layers]
    at = [names.index(f"block4_mbconv_1_{part}") for part in order]
    assert at == sorted(at)
    shapes = {w.name: w.shape for w in workload(name).parameters}
    reduced = shapes["block4_mbconv_1_se_reduce_conv/kernel"]
    assert reduced == (1, 1, 480, 120 if name == "effnet" else 20)


def test_a_gate_that_does_not_fit_is_refused():
    product = ChannelProduct("product")
    assert Gate(GlobalAveragePooling("pool", True), product).output_shape((4, 4, 3))
    with pytest.raises(ValueError, match=r"gate of \(4, 4, 3\) is \(1, 1, 3\)"):
        Gate(Swish("swish"), product).output_shape((4, 4, 3))


def test_both_published_injections_are_here():
    assert len(PUBLISHED) == 2


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda p: p.stem)
def test_published_injections_name_elements_of_this_network(path):
    injection = read_injection(path, sites=lambda name: workload(name).sites())
    assert injection.model == "effnet"
    assert injection.site_name in workload("effnet").sites()


# The whole network takes minutes; it has the same kinds of blocks, only more of them.
every_size = pytest.mark.parametrize(
    "stages",
    [SHORT, pytest.param(STAGES, marks=pytest.mark.slow)],
    ids=["small", "whole"],
)


def _of_size(name: str, stages: tuple) -> Workload:
    model = architecture(name == "effnet_reference", stages=stages)
    return dataclasses.replace(workload(name), model=model)


@every_size
@pytest.mark.parametrize("name", COUNTS)
def test_the_whole_gradient_equals_autodiff_of_a_plain_network(name, stages):
    check_whole_gradient(_of_size(name, stages))


@every_size
def test_disarmed_steps_equal_steps_without_sites_by_bits(stages):
    check_disarmed_steps(_of_size("effnet", stages))
