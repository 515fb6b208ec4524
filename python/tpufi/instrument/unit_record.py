# SPDX-License-Identifier: Apache-2.0
"""What a broken unit did in calls of a program."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from tpufi.units import UnitFault


@dataclasses.dataclass(frozen=True, eq=False)
class UnitRecord:
    """What a unit did in a call, or in the calls of a graph together.

    Args:
      fault: the fault as it was given.
      products: by the name of the site of each product's result: how many values
        passed through the unit while it was broken, and how many of them changed.
    """

    fault: UnitFault
    products: Mapping[str, tuple[int, int]]

    @property
    def passed(self) -> int:
        """How many values passed through it while it was broken."""
        return sum(passed for passed, _ in self.products.values())

    @property
    def changed(self) -> int:
        """How many values have other bits than without the fault."""
        return sum(changed for _, changed in self.products.values())


def record_of(fault: UnitFault, names: Sequence[str], record: np.ndarray) -> UnitRecord:
    """Return a record.

    Args:
      fault: as it was given.
      names: of the products.
      record: int64 [products, 2].
    """
    rows = map(tuple, record.tolist())
    return UnitRecord(fault, dict(zip(names, rows, strict=True)))
