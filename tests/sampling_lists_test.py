# SPDX-License-Identifier: Apache-2.0
"""The artefact's sampling lists, and the tool that lists all sites."""

import csv
import io

import pytest

from tpufi.cli.sites import COMMAND, target_layer
from tpufi.errors import InputError
from tpufi.faults.artefact_lists import has_sampling_lists, sampling_list
from tpufi.faults.injection import STAGES
from tpufi.models import WORKLOADS

FORWARD, BACKWARD = STAGES
# A reference form lacks what the artefact added, and the artefact lacks it.
ARTEFACT = [
    name
    for name in WORKLOADS
    if has_sampling_lists(name) and not name.endswith("_reference")
]


@pytest.mark.parametrize(
    ("workload", "forward", "backward"),
    [
        ("resnet18", 20, 40),
        ("effnet", 66, 132),
        ("densenet", 120, 240),
        ("nfnet", 28, 56),
    ],
)
def test_lists_have_the_artefacts_lengths_and_no_duplicates(
    workload, forward, backward
):
    for stage, length in ((FORWARD, forward), (BACKWARD, backward)):
        layers = sampling_list(workload, stage)
        assert len(layers) == len(set(layers)) == length


def test_lists_have_the_artefacts_order():
    assert sampling_list("resnet18_sgd", FORWARD)[:6] == (
        "conv1",
        "basicblock_1_basic_0_conv1",
        "basicblock_1_basic_0_conv2",
        "basicblock_1_basic_1_conv1",
        "basicblock_1_basic_1_conv2",
        "basicblock_2_basic_0_downsample",
    )
    backward = sampling_list("resnet18_nobn", BACKWARD)
    assert backward[:2] == (
        "basicblock_4_basic_1_conv2_grad_in",
        "basicblock_4_basic_1_conv2_grad_wt",
    )
    assert backward[4] == "basicblock_4_basic_0_downsample_grad_in"
    assert backward[-1] == "conv1_grad_wt"
    effnet = sampling_list("effnet", FORWARD)
    assert effnet[:3] == (
        "conv2", "block7_mbconv_0_conv2", "block7_mbconv_0_se_expand_conv",
    )  # fmt: skip
    assert effnet[5] == "block6_mbconv_3_conv2" and effnet[-1] == "conv1"
    densenet = sampling_list("densenet", BACKWARD)
    assert densenet[0] == "densenet_conv_grad_in"
    assert densenet[13] == "densenet_transition_1_conv_grad_in"
    assert densenet[120] == "densenet_conv_grad_wt"
    assert sampling_list("nfnet", FORWARD)[3:5] == (
        "NF_ResNet_block_0_conv_shortcut", "NF_ResNet_block_1_conv0",
    )  # fmt: skip


@pytest.mark.parametrize("name", ARTEFACT)
def test_every_listed_layer_has_sites_in_its_workload(name):
    table = WORKLOADS[name].sites()
    targets = {target_layer(site) for site in table}
    for stage in STAGES:
        assert set(sampling_list(name, stage)) <= targets


@pytest.mark.parametrize("name", ARTEFACT)
def test_the_tool_prints_one_row_per_site(name, capsys):
    assert COMMAND.main(["--workload", name]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["site"] for row in rows] == [s.name for s in WORKLOADS[name].sites()]
    listed = {stage[:4]: len(sampling_list(name, stage)) for stage in STAGES}
    for stage, length in listed.items():
        targets = {
            r["site"].rsplit("/", 1)[0] for r in rows if r["artefact_list"] == stage
        }
        assert len(targets) == length


def test_a_workload_of_our_own_is_listed_without_the_artefacts_lists(capsys):
    assert "decoder" not in ARTEFACT
    assert COMMAND.main(["--workload", "decoder", "--layer", "block0_s"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {row["artefact_list"] for row in rows} == {""}
    (scores,) = [r for r in rows if r["site"] == "block0_scores/forward/output"]
    assert scores["shape"] == "128x4x64x64"
    assert int(scores["macs"]) == 128 * 64 * 64 * 64


def test_the_tool_counts_multiply_accumulates(capsys):
    COMMAND.main(["--workload", "resnet18", "--per-replica", "1"])
    rows = csv.DictReader(io.StringIO(capsys.readouterr().out))
    outputs = [r for r in rows if r["site"].endswith("/forward/output")]
    # 140.8 million for an image, as counted for the artefact's network.
    assert sum(int(r["macs"]) for r in outputs) == pytest.approx(140.8e6, rel=1e-3)


def test_unknown_names_are_input_errors():
    with pytest.raises(InputError, match="known: fwrd_inject, bkwd_inject"):
        sampling_list("resnet18", "forward")
    with pytest.raises(InputError, match="it has: resnet18, effnet"):
        sampling_list("vgg16", FORWARD)
