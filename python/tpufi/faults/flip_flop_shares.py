# SPDX-License-Identifier: Apache-2.0
"""Weights of fault models by the flip-flops of an accelerator that cause them.

Source: classes, shares and activeness of the ResNet example of FIdelity (He et al.,
MICRO 2020; `fit_calc/input/resnet.csv`), an NVDLA-like design. The remaining 28 % of
the flip-flops belong to no class. Which published model stands for which class is our
own choice (docs/sampling.md); a class shared by several models is split equally.
"""

import dataclasses
from collections.abc import Sequence
from fractions import Fraction

from tpufi.errors import InputError
from tpufi.faults.fault_model import FaultModel


@dataclasses.dataclass(frozen=True)
class FlipFlopClass:
    """Flip-flops whose faults look alike.

    Args:
      name: of the class.
      share: of all flip-flops, 0 to 1.
      activeness: probability that a flip-flop holds a value that is used, 0 to 1.
      models: names of the fault models that describe its faults.
    """

    name: str
    share: Fraction
    activeness: Fraction
    models: tuple[str, ...]


CLASSES = tuple(
    FlipFlopClass(name, Fraction(share), Fraction(activeness), models)
    for name, share, activeness, models in (
        ("input", "0.018", "0.31", ("INPUT",)),
        ("weight", "0.035", "0.42", ("WT",)),
        ("input_16", "0.117", "0.27", ("INPUT_16",)),
        ("weight_16", "0.156", "0.27", ("WT_16",)),
        ("neuron", "0.272", "0.27", ("RBFLIP",)),
        (
            "local control",
            "0.041",
            "0.27",
            (
                *("RD", "RD_CORRECT", "ZERO", "N16_RD", "N16_RD_CORRECT"),
                *("N64_INPUT", "N64_WT", "N64_INPUT_16", "N64_WT_16"),
            ),
        ),
        (
            "global control",
            "0.081",
            "0.32",
            ("RD_GLB", "RD_CORRECT_GLB", "N64_INPUT_GLB", "N64_WT_GLB"),
        ),
    )
)


def flip_flop_weights(
    models: Sequence[FaultModel],
) -> tuple[tuple[FaultModel, Fraction], ...]:
    """Weight fault models by share times activeness of their flip-flops.

    Args:
      models: published fault models. Classes of which none is named do not count; the
        weight of a class is split among those of its models that are named.

    Returns:
      Each model with its weight, for `SamplingPlan.models`.

    Raises:
      InputError: a model stands for no class.
    """
    names = [model.name for model in models]
    weights = {}
    for group in CLASSES:
        here = [name for name in group.models if name in names]
        for name in here:
            weights[name] = group.share * group.activeness / len(here)
    for name in names:
        if name not in weights:
            raise InputError(
                f"fault model {name} has no flip-flop share; with these weights choose "
                f"among: {', '.join(n for group in CLASSES for n in group.models)}"
            )
    return tuple((model, weights[model.name]) for model in models)
