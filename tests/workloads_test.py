# SPDX-License-Identifier: Apache-2.0
"""Each workload is the network that it should be, and its gradient is right."""

import collections
import csv
import dataclasses
import math
import pathlib

import pytest

from tests.disarmed_steps import check_disarmed_steps
from tests.plain_model import check_whole_gradient
from tests.small_decoder import SMALL_DECODER
from tpufi.errors import InputError
from tpufi.faults.artefact_lists import sampling_list
from tpufi.faults.csv import read_injection
from tpufi.layers import Conv2D, StandardisedConv2D
from tpufi.models import NAMES, WORKLOADS, densenet, effnet, nfnet, workload
from tpufi.workload import Workload

pytestmark = pytest.mark.large

DATA = pathlib.Path(__file__).resolve().parent / "data"


def artefact_sites(workload: str) -> dict[str, tuple[int, ...]]:
    """Return site name -> shape for 128 images per replica."""
    with open(DATA / f"{workload}_sites.csv", newline="") as file:
        return {
            f"{row['layer']}/{operand}": tuple(map(int, shape.split("x")))
            for row in csv.DictReader(file)
            for operand, shape in row.items()
            if operand != "layer"
        }


ROOT = pathlib.Path(__file__).resolve().parents[1]
PUBLISHED = sorted(ROOT.glob("injections/*/*.csv"))
# Parameter tensors, parameters, and numbers in moving averages, as counted elsewhere.
COUNTS = {
    "densenet": (490, 10_106_698, 81_600),
    "densenet_reference": (364, 6_964_106, 83_648),
    "effnet": (216, 7_156_746, 42_080),
    # It has no expansion in block 1: a kernel, gamma and beta less.
    "effnet_reference": (213, 4_020_358, 42_080 - 2 * 32),
    "nfnet": (97, 13_958_994, 0),
    "resnet18": (82, 11_186_442, 9_600),
    "resnet18_nobn": (42, 11_176_842, 0),
    "resnet18_sgd": (82, 11_186_442, 9_600),
    "decoder": (70, 237_184, 0),
}
# Of the artefact's networks; those of `resnet18` are alike.
CONVOLUTIONS = {
    **{"densenet": 124, "effnet": 66, "nfnet": 29},
    **{"resnet18": 20, "resnet18_nobn": 20, "resnet18_sgd": 20},
}
LISTED = {"densenet": 120, "nfnet": 28}
MACS = {"densenet": (67.3e6, 1e-3), "effnet": (11.9e6, 5e-3), "nfnet": (181.8e6, 1e-3)}


def _with(name: str, model) -> Workload:
    return dataclasses.replace(workload(name), model=model)


# Blocks of effnet without expansion; with a shortcut; 5x5 with and without stride.
_STAGES = ((16, 1, 1, 3, 1), (24, 1, 6, 5, 2), (24, 1, 6, 5, 1))
# The same kinds of blocks, only fewer: the whole network takes minutes.
SMALL = {
    "densenet": _with("densenet", densenet.architecture(dropout=0.5, blocks=(1, 2))),
    "densenet_reference": _with(
        "densenet_reference",
        densenet.architecture(dropout=0.2, blocks=(1, 2), reference=True),
    ),
    "effnet": _with("effnet", effnet.architecture(False, stages=_STAGES)),
    "effnet_reference": _with(
        "effnet_reference", effnet.architecture(True, stages=_STAGES)
    ),
    "nfnet": _with("nfnet", nfnet.architecture(stages=((16, 1), (32, 2)))),
    "decoder": SMALL_DECODER,
}


def forms(*without: str) -> list:
    """Return a small form of each workload; its whole form is a slow test."""
    found = [pytest.param(work, id=f"{name}-small") for name, work in SMALL.items()]
    for name in (n for n in NAMES if n not in without):
        large = name in SMALL or name.startswith("resnet18")
        marks = [pytest.mark.slow] if large else []
        found.append(pytest.param(workload(name), id=name, marks=marks))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_parameters_and_statistics_are_as_counted_elsewhere(name):
    parameters, statistics = workload(name).parameters, workload(name).statistics
    assert COUNTS[name] == (
        len(parameters),
        sum(math.prod(w.shape) for w in parameters),
        sum(math.prod(w.shape) for w in statistics),
    )
    names = [w.name for w in (*parameters, *statistics)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_operands_of_all_convolutions_have_the_artefacts_shapes(name):
    work, artefact = workload(name), artefact_sites(name.partition("_")[0])
    kinds = Conv2D | StandardisedConv2D
    convolutions = {la.name: la for la, _ in work.layers if isinstance(la, kinds)}
    ours = {s.name: s.shape for s in work.sites() if s.layer in convolutions}
    assert len(convolutions) == CONVOLUTIONS[name]
    assert {n: shape for n, shape in ours.items() if n in artefact} == artefact
    # Beyond the artefact's: raw kernel, gain, mean, variance and the two gradients.
    standardised = [c for c in convolutions.values() if type(c) is not Conv2D]
    assert len(ours) == len(artefact) + 6 * len(standardised)


@pytest.mark.parametrize("name", LISTED)
def test_all_layers_of_the_artefacts_sampling_list_have_sites(name):
    table = workload(name).sites()
    layers = sampling_list(name, "fwrd_inject")
    assert len(layers) == LISTED[name]
    for layer in layers:
        for direction in ("forward", "grad_in", "grad_wt"):
            assert f"{layer}/{direction}/output" in table


@pytest.mark.parametrize("name", MACS)
def test_a_forward_pass_multiplies_as_often_as_in_the_artefact(name):
    macs = sum(layer.macs(shape, 1) for layer, shape in workload(name).layers)
    expected, tolerance = MACS[name]
    assert macs == pytest.approx(expected, rel=tolerance)


def test_all_eleven_published_injections_name_elements_of_their_workload():
    for path in PUBLISHED:
        injection = read_injection(path, lambda name: workload(name).sites())
        assert injection.model == path.parent.name
        assert injection.site_name in workload(injection.model).sites()
    networks = collections.Counter(p.parent.name.partition("_")[0] for p in PUBLISHED)
    assert networks == {"resnet18": 7, "effnet": 2, "densenet": 2}


def test_an_unknown_workload_lists_the_known_ones():
    with pytest.raises(InputError, match="'vgg16' is not available; known: densenet"):
        workload("vgg16")
    assert tuple(WORKLOADS) == NAMES


# That of resnet18 is compared with formulas for the whole network: resnet18_test.
@pytest.mark.parametrize("work", forms("resnet18", "resnet18_nobn", "resnet18_sgd"))
def test_the_whole_gradient_equals_autodiff_of_a_plain_network(work):
    # Fifty batch norms over the single pixels of two images, whose variance is next to
    # nothing, magnify rounding to 1e-8; over those of eight they do not.
    check_whole_gradient(work, 8 if work is workload("densenet_reference") else 2)


@pytest.mark.parametrize("work", forms())
def test_disarmed_steps_equal_steps_without_sites_by_bits(work):
    check_disarmed_steps(work)
