# SPDX-License-Identifier: Apache-2.0
"""NF-ResNet is the artefact's network, and its gradient is right."""

import dataclasses
import math

import numpy as np
import pytest

from tests.artefact_tables import artefact_sites
from tests.disarmed_steps import check_disarmed_steps
from tests.plain_model import check_whole_gradient
from tpufi.faults.artefact_lists import sampling_list
from tpufi.layers import Scale, StandardisedConv2D
from tpufi.models import workload
from tpufi.models.nfnet import STAGES, architecture
from tpufi.training import initial_state
from tpufi.workload import Workload


def test_parameters_are_the_artefacts():
    parameters = workload("nfnet").parameters
    assert len(parameters) == 97
    assert sum(math.prod(w.shape) for w in parameters) == 13_958_994
    assert workload("nfnet").statistics == ()


def test_operands_of_all_convolutions_have_the_artefacts_shapes():
    work, artefact = workload("nfnet"), artefact_sites("nfnet")
    convolutions = [
        layer.name for layer, _ in work.layers if isinstance(layer, StandardisedConv2D)
    ]
    ours = {s.name: s.shape for s in work.sites() if s.layer in set(convolutions)}
    assert len(convolutions) == 29
    # Beyond the artefact's: raw kernel, gain, mean, variance and the two gradients.
    assert len(ours) == 29 * (9 + 6)
    assert {name: shape for name, shape in ours.items() if name in artefact} == artefact


def test_all_layers_of_the_artefacts_sampling_list_have_sites():
    table = workload("nfnet").sites()
    layers = sampling_list("nfnet", "fwrd_inject")
    assert len(layers) == 28
    for layer in layers:
        for direction in ("forward", "grad_in", "grad_wt"):
            assert f"{layer}/{direction}/output" in table


def test_a_forward_pass_multiplies_as_often_as_in_the_artefact():
    macs = sum(layer.macs(shape, 1) for layer, shape in workload("nfnet").layers)
    assert macs == pytest.approx(181.8e6, rel=1e-3)


def test_activations_are_scaled_by_the_expected_deviation_of_their_input():
    scales = {
        la.name: la.factor for la, _ in workload("nfnet").layers if type(la) is Scale
    }
    first = [scales.pop(f"NF_ResNet_block_{block}_scale0") for block in range(8)]
    betas = [1.0, *[0.70711, 0.57735] * 3, 0.70711]
    np.testing.assert_allclose(first, np.array(betas) * 1.7139588594436646, rtol=1e-5)
    assert len(scales) == 2 * 8 + 1
    assert set(scales.values()) == {1.7139588594436646}


def test_first_kernels_have_variance_one_over_fan_in():
    weights = initial_state(workload("nfnet"), 4).parameters
    name = "NF_ResNet_block_6_conv1"
    assert np.var(weights[f"{name}/kernel"]) == pytest.approx(1 / (9 * 512), rel=0.01)
    # Not cut: of 2.4 million normal values about 150 are beyond 4 deviations.
    assert np.abs(weights[f"{name}/kernel"]).max() > 4 / math.sqrt(9 * 512)
    assert (weights[f"{name}/gain"].numpy() == 1).all()
    assert float(weights["NF_ResNet_block_6_skip_gain/gain"]) == 0


# The whole network takes minutes; it has the same kinds of blocks, only more of them.
every_size = pytest.mark.parametrize(
    "stages",
    [((16, 1), (32, 2)), pytest.param(STAGES, marks=pytest.mark.slow)],
    ids=["small", "whole"],
)


def _of_size(stages: tuple[tuple[int, int], ...]) -> Workload:
    return dataclasses.replace(workload("nfnet"), model=architecture(stages=stages))


@every_size
def test_the_whole_gradient_equals_autodiff_of_a_plain_network(stages):
    check_whole_gradient(_of_size(stages))


@every_size
def test_disarmed_steps_equal_steps_without_sites_by_bits(stages):
    check_disarmed_steps(_of_size(stages))
