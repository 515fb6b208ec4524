# SPDX-License-Identifier: Apache-2.0
"""The artefact's lists of layers from which its campaigns drew, in its order.

A name is a `target_layer` of an injection file. The lists leave sites out that exist
(`tpufi sites` shows all): they are kept so that its campaigns can be repeated.

Source: `choose_random_layer` of the ISCA'23 artefact; names and order are facts.
"""

from collections.abc import Callable, Iterable

from tpufi.errors import InputError
from tpufi.faults.injection import STAGES

_EFFNET_BLOCKS = (1, 2, 2, 3, 3, 4, 1)
_DENSENET_BLOCKS = (6, 12, 24, 16)
_NFNET_BLOCKS = 8


def has_sampling_lists(workload: str) -> bool:
    """Tell whether the artefact's campaigns drew from a workload of this family."""
    return workload.split("_")[0] in _FAMILIES


def sampling_list(workload: str, stage: str) -> tuple[str, ...]:
    """Return the layers of one stage that the artefact draws from, uniformly.

    Args:
      workload: name of a workload; all variants of a family share a list.
      stage: `fwrd_inject` or `bkwd_inject`.

    Raises:
      InputError: unknown stage, or the artefact has no such workload.
    """
    if stage not in STAGES:
        raise InputError(f"stage {stage!r} is unknown; known: {', '.join(STAGES)}")
    if not has_sampling_lists(workload):
        raise InputError(
            f"the artefact has no sampling list for {workload!r}; it has: "
            f"{', '.join(_FAMILIES)}"
        )
    forward, backward = _FAMILIES[workload.split("_")[0]]
    return tuple(forward() if stage == STAGES[0] else backward())


def _resnet18() -> list[str]:
    layers = ["conv1"]
    for stage in (1, 2, 3, 4):
        name = f"basicblock_{stage}_basic"
        layers += [f"{name}_0_downsample"] * (stage > 1)
        layers += [f"{name}_{block}_conv{i}" for block in (0, 1) for i in (1, 2)]
    return layers


def _resnet18_backward() -> Iterable[str]:
    for stage in (4, 3, 2, 1):
        name = f"basicblock_{stage}_basic"
        layers = [f"{name}_1_conv2", f"{name}_1_conv1"]
        layers += [f"{name}_0_downsample"] * (stage > 1)
        yield from _in_then_wt(layers + [f"{name}_0_conv2", f"{name}_0_conv1"])
    yield from _in_then_wt(["conv1"])


def _effnet() -> list[str]:
    parts = ("conv2", "se_expand_conv", "se_reduce_conv", "conv1")
    blocks = [
        f"block{stage}_mbconv_{block}_{part}"
        for stage in range(len(_EFFNET_BLOCKS), 0, -1)
        for block in reversed(range(_EFFNET_BLOCKS[stage - 1]))
        for part in parts
    ]
    return ["conv2", *blocks, "conv1"]


def _densenet() -> list[str]:
    layers = ["densenet_conv"]
    for stage, count in enumerate(_DENSENET_BLOCKS, 1):
        layers += [
            f"densenet_dense_block_{stage}_bottleneck_{i}_conv{j}"
            for i in range(count)
            for j in (1, 2)
        ]
        layers += [f"densenet_transition_{stage}_conv"] * (stage < 4)
    return layers


def _nfnet() -> list[str]:
    return [
        f"NF_ResNet_block_{block}_{part}"
        for block in range(_NFNET_BLOCKS)
        for part in ("conv0", "conv1", "conv2", "conv_shortcut")
        if part != "conv_shortcut" or block % 2 == 0
    ]


def _in_then_wt(layers: Iterable[str]) -> Iterable[str]:
    """Both gradients of a layer, one after the other."""
    for layer in layers:
        yield f"{layer}_grad_in"
        yield f"{layer}_grad_wt"


def _all_in_then_all_wt(forward: Callable[[], list[str]]) -> Callable[[], list[str]]:
    return lambda: [f"{x}_{d}" for d in ("grad_in", "grad_wt") for x in forward()]


_FAMILIES = {
    "resnet18": (_resnet18, _resnet18_backward),
    "effnet": (_effnet, _all_in_then_all_wt(_effnet)),
    "densenet": (_densenet, _all_in_then_all_wt(_densenet)),
    "nfnet": (_nfnet, _all_in_then_all_wt(_nfnet)),
}
