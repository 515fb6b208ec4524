# SPDX-License-Identifier: Apache-2.0
"""The 18 fault models: which tensor is struck, in what groups, by what value rule.

Source: `InjType` and its sampling tables in the artefact of He et al., "Understanding
and Mitigating Hardware Failures in Deep Learning Training Systems", ISCA 2023; the
confinement of the `_16` models as intended there, which the artefact never implemented.
"""

import dataclasses
import types
from collections.abc import Mapping

from tpufi.errors import InputError
from tpufi.messages import nearest_first, quote

FLIP_ONE_BIT = "flip_one_bit"
RANDOM_FINITE = "random_finite"
COPY_RANDOM_POSITION = "copy_random_position"
ZERO = "zero"

_MOST_GROUPS = 1000


@dataclasses.dataclass(frozen=True)
class FaultModel:
    """Where a fault strikes inside an operation, and what it writes there.

    Args:
      name: the artefact's name, e.g. `N16_RD`.
      target: operand that is struck: `input`, `weight` or `output`.
      group_size: consecutive elements (flat, row-major) of one group.
      max_groups: most groups one fault strikes; 1, or 1000 for the `_GLB` models.
      rule: value rule: `flip_one_bit`, `random_finite` (random bits, redrawn until
        finite), `copy_random_position` (a right value from a wrong place) or `zero`.
      confined_to: consecutive results the error reaches (channels of one output pixel
        for an input fault, pixels of one channel for a weight fault); None: all.
    """

    name: str
    target: str
    group_size: int
    max_groups: int
    rule: str
    confined_to: int | None = None

    @property
    def is_global(self) -> bool:
        """Whether one fault strikes many groups (global control, `_GLB`)."""
        return self.max_groups > 1


_MODELS = (
    FaultModel("INPUT", "input", 1, 1, FLIP_ONE_BIT),
    FaultModel("INPUT_16", "input", 1, 1, FLIP_ONE_BIT, confined_to=16),
    FaultModel("WT", "weight", 1, 1, FLIP_ONE_BIT),
    FaultModel("WT_16", "weight", 1, 1, FLIP_ONE_BIT, confined_to=16),
    FaultModel("RBFLIP", "output", 1, 1, FLIP_ONE_BIT),
    FaultModel("RD", "output", 1, 1, RANDOM_FINITE),
    FaultModel("RD_CORRECT", "output", 1, 1, COPY_RANDOM_POSITION),
    FaultModel("ZERO", "output", 1, 1, ZERO),
    FaultModel("N16_RD", "output", 16, 1, RANDOM_FINITE),
    FaultModel("N16_RD_CORRECT", "output", 16, 1, COPY_RANDOM_POSITION),
    FaultModel("RD_GLB", "output", 16, _MOST_GROUPS, RANDOM_FINITE),
    FaultModel("RD_CORRECT_GLB", "output", 16, _MOST_GROUPS, COPY_RANDOM_POSITION),
    FaultModel("N64_INPUT", "input", 64, 1, COPY_RANDOM_POSITION),
    FaultModel("N64_WT", "weight", 64, 1, COPY_RANDOM_POSITION),
    FaultModel("N64_INPUT_16", "input", 64, 1, COPY_RANDOM_POSITION, confined_to=16),
    FaultModel("N64_WT_16", "weight", 64, 1, COPY_RANDOM_POSITION, confined_to=16),
    FaultModel("N64_INPUT_GLB", "input", 64, _MOST_GROUPS, COPY_RANDOM_POSITION),
    FaultModel("N64_WT_GLB", "weight", 64, _MOST_GROUPS, COPY_RANDOM_POSITION),
)

FAULT_MODELS: Mapping[str, FaultModel] = types.MappingProxyType(
    {model.name: model for model in _MODELS}
)


def fault_model(name: str) -> FaultModel:
    """Return the fault model called `name`.

    Args:
      name: one of the 18 names, in capitals.

    Returns:
      The entry of `FAULT_MODELS`.

    Raises:
      InputError: there is no such model; the message lists them, nearest first.

    Example:
      >>> fault_model("N16_RD").group_size
      16
    """
    if name not in FAULT_MODELS:
        raise InputError(
            f"unknown fault model {quote(name)}; expected one of: "
            f"{nearest_first(name, FAULT_MODELS)}; write one of these"
        )
    return FAULT_MODELS[name]
