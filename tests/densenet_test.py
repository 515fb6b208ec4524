# SPDX-License-Identifier: Apache-2.0
"""DenseNet-121 is the artefact's or the published network; its gradient is right."""

import dataclasses
import math
import pathlib

import keras
import pytest

from tests.artefact_tables import artefact_sites
from tests.disarmed_steps import check_disarmed_steps
from tests.plain_model import check_whole_gradient
from tpufi.faults.artefact_lists import sampling_list
from tpufi.faults.csv import read_injection
from tpufi.layers import Conv2D, Dropout
from tpufi.models import workload
from tpufi.models.densenet import BLOCKS, architecture
from tpufi.workload import Workload

ROOT = pathlib.Path(__file__).resolve().parents[1]
PUBLISHED = sorted((ROOT / "injections" / "densenet").glob("*.csv"))
# Parameter tensors, parameters, and numbers in moving averages.
COUNTS = {
    "densenet": (490, 10_106_698, 81_600),
    "densenet_reference": (364, 6_964_106, 83_648),
}


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_and_statistics_are_as_counted_elsewhere(name):
    parameters, statistics = workload(name).parameters, workload(name).statistics
    assert COUNTS[name] == (
        len(parameters),
        sum(math.prod(w.shape) for w in parameters),
        sum(math.prod(w.shape) for w in statistics),
    )


@pytest.fixture(scope="module")
def peer() -> keras.Model:
    """DenseNet-121 by others."""
    return keras.applications.DenseNet121(
        weights=None, input_shape=(32, 32, 3), classes=10
    )


@pytest.mark.slow
def test_the_published_network_has_the_weights_of_keras_in_its_order(peer):
    work = workload("densenet_reference")
    ours = [w.shape for w in work.parameters]
    assert ours == [tuple(w.shape) for w in peer.trainable_weights]
    statistics = [w.shape for w in work.statistics]
    assert statistics == [tuple(w.shape) for w in peer.non_trainable_weights]


@pytest.mark.slow
def test_images_shrink_where_those_of_keras_do(peer):
    theirs = [
        tuple(layer.output.shape[1:])
        for layer in peer.layers
        if isinstance(layer, keras.layers.MaxPooling2D | keras.layers.AveragePooling2D)
    ]
    ours = [
        layer.output_shape(shape)
        for layer, shape in workload("densenet_reference").layers
        if layer.name.startswith("densenet") and layer.name.endswith("_pool")
    ]
    assert ours == theirs == [(8, 8, 64), (4, 4, 128), (2, 2, 256), (1, 1, 512)]


def test_the_published_dropout_stands_behind_every_convolution_but_the_first():
    layers = [layer for layer, _ in workload("densenet_reference").layers]
    behind = [
        type(after) is Dropout and after.rate == 0.2
        for layer, after in zip(layers, layers[1:], strict=False)
        if isinstance(layer, Conv2D)
    ]
    assert behind == [False] + [True] * 119
    assert sum(isinstance(layer, Dropout) for layer in layers) == 119


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


every_form = pytest.mark.parametrize("name", COUNTS)


def _of_size(name: str, blocks: tuple[int, ...]) -> Workload:
    reference = name == "densenet_reference"
    rate = 0.2 if reference else 0.5
    model = architecture(dropout=rate, blocks=blocks, reference=reference)
    return dataclasses.replace(workload(name), model=model)


@every_size
@every_form
def test_the_whole_gradient_equals_autodiff_of_a_plain_network(name, blocks):
    # Fifty batch norms over the single pixels of two images, whose variance is next to
    # nothing, magnify rounding to 1e-8; over those of eight they do not.
    images = 8 if blocks == BLOCKS and name == "densenet_reference" else 2
    check_whole_gradient(_of_size(name, blocks), images)


@every_size
@every_form
def test_disarmed_steps_equal_steps_without_sites_by_bits(name, blocks):
    check_disarmed_steps(_of_size(name, blocks))
