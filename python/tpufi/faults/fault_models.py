# SPDX-License-Identifier: Apache-2.0
"""What a fault model is; the 18 published ones: target, where, value rule.

Source: `InjType` and its sampling tables in the artefact of He et al., "Understanding
and Mitigating Hardware Failures in Deep Learning Training Systems", ISCA 2023; the
confinement of the `_16` models as intended there, which the artefact never implemented.
"""

import dataclasses
import types
from collections.abc import Mapping

from tpufi.element import element
from tpufi.errors import InputError
from tpufi.faults.bit_flips import FlipBits
from tpufi.faults.extents import Extent, Groups, Pair
from tpufi.faults.numeric_rules import Constant
from tpufi.faults.operation import Operation
from tpufi.faults.value_rules import CopyRandomPosition, RandomFinite, Swap, ValueRule
from tpufi.messages import nearest_first, quote
from tpufi.site_table import Site

TARGETS = ("input", "weight", "output", "any")


@dataclasses.dataclass(frozen=True)
class FaultModel:
    """Where a fault strikes inside an operation, and what it writes there.

    Args:
      name: e.g. `N16_RD`.
      target: operand that is struck: `input`, `weight`, `output`, or `any` for every
        site, statistics and optimiser slots included.
      extent: which elements of the tensor.
      rule: what is written.
      confined_to: consecutive results the error reaches (channels of one output pixel
        for an input fault, pixels of one channel for a weight fault); None: all.

    Raises:
      InputError: the parts do not go together.
    """

    name: str
    target: str
    extent: Extent
    rule: ValueRule
    confined_to: int | None = None

    def __post_init__(self) -> None:
        if self.target not in TARGETS:
            raise InputError(
                f"target {self.target!r} is unknown; known: {', '.join(TARGETS)}"
            )
        if self.confined_to is not None and (
            self.confined_to < 1 or self.target not in ("input", "weight")
        ):
            raise InputError(
                f"fault model {self.name}: confined to {self.confined_to} results of "
                f"target {self.target}; expected 1 or more, and input or weight"
            )
        if self.rule.most is not None and (
            self.extent.most is None or self.extent.most > self.rule.most
        ):
            raise InputError(
                f"fault model {self.name}: {self.extent} strikes more elements than "
                f"the {self.rule.most} that {self.rule} can serve; choose another rule"
            )
        if isinstance(self.rule, Swap) and not isinstance(self.extent, Pair):
            raise InputError(f"fault model {self.name}: Swap needs the extent Pair")

    def misfit(self, site: Site, operation: Operation | None) -> str | None:
        """Return why a site has no fault of this model, or None if it has.

        Args:
          site: the tensor.
          operation: the convolution the tensor belongs to, or None.
        """
        if self.target not in ("any", site.operand):
            return f"its operand is {site.operand}, {self.name} strikes {self.target}"
        if self.confined_to is not None and operation is None:
            return "it belongs to no convolution or dense layer, so nothing is confined"
        return self.extent.misfit(site, operation) or self.rule.misfit(
            element(site.dtype)
        )


_FLIP = FlipBits()
_RANDOM = RandomFinite()
_COPY = CopyRandomPosition()
_MANY = 1000

_MODELS = (
    FaultModel("INPUT", "input", Groups(), _FLIP),
    FaultModel("INPUT_16", "input", Groups(), _FLIP, confined_to=16),
    FaultModel("WT", "weight", Groups(), _FLIP),
    FaultModel("WT_16", "weight", Groups(), _FLIP, confined_to=16),
    FaultModel("RBFLIP", "output", Groups(), _FLIP),
    FaultModel("RD", "output", Groups(), _RANDOM),
    FaultModel("RD_CORRECT", "output", Groups(), _COPY),
    FaultModel("ZERO", "output", Groups(), Constant(0)),
    FaultModel("N16_RD", "output", Groups(16), _RANDOM),
    FaultModel("N16_RD_CORRECT", "output", Groups(16), _COPY),
    FaultModel("RD_GLB", "output", Groups(16, _MANY), _RANDOM),
    FaultModel("RD_CORRECT_GLB", "output", Groups(16, _MANY), _COPY),
    FaultModel("N64_INPUT", "input", Groups(64), _COPY),
    FaultModel("N64_WT", "weight", Groups(64), _COPY),
    FaultModel("N64_INPUT_16", "input", Groups(64), _COPY, confined_to=16),
    FaultModel("N64_WT_16", "weight", Groups(64), _COPY, confined_to=16),
    FaultModel("N64_INPUT_GLB", "input", Groups(64, _MANY), _COPY),
    FaultModel("N64_WT_GLB", "weight", Groups(64, _MANY), _COPY),
)

FAULT_MODELS: Mapping[str, FaultModel] = types.MappingProxyType(
    {model.name: model for model in _MODELS}
)


def fault_model(name: str) -> FaultModel:
    """Return the published fault model called `name`.

    Args:
      name: one of the 18 names, in capitals; the only ones of an injection file.

    Returns:
      The entry of `FAULT_MODELS`. `fault_catalogue.any_fault_model` knows all others.

    Raises:
      InputError: there is no such model; the message lists them, nearest first.

    Example:
      >>> fault_model("N16_RD").extent
      Groups(size=16, largest=1)
    """
    if name not in FAULT_MODELS:
        raise InputError(
            f"unknown fault model {quote(name)}; expected one of: "
            f"{nearest_first(name, FAULT_MODELS)}; write one of these"
        )
    return FAULT_MODELS[name]
