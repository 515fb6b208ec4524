# SPDX-License-Identifier: Apache-2.0
"""A fault model: operand, elements and value rule, and where it fits."""

import dataclasses

from tpufi.element import element
from tpufi.errors import InputError
from tpufi.faults.affected_outputs import Operation
from tpufi.faults.elements import Extent, Pair
from tpufi.faults.values import Swap, ValueRule
from tpufi.site_table import Site

TARGETS = ("input", "weight", "output", "any")


@dataclasses.dataclass(frozen=True)
class FaultModel:
    """Where a fault is injected inside an operation, and what it writes there.

    Args:
      name: e.g. `N16_RD`.
      target: operand that faults are injected into: `input`, `weight`, `output`, or
        `any` for every site, statistics and optimiser slots included.
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

    @property
    def stale(self) -> bool:
        """Whether its faults need the step before."""
        return self.rule.stale

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
                f"fault model {self.name}: {self.extent} injects into more elements "
                f"than the {self.rule.most} that {self.rule} can serve; choose "
                "another rule"
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
            return (
                f"its operand is {site.operand}, {self.name} injects into {self.target}"
            )
        if self.confined_to is not None and operation is None:
            return "it belongs to no convolution or dense layer, so nothing is confined"
        return self.extent.misfit(site, operation) or self.rule.misfit(
            element(site.dtype)
        )
