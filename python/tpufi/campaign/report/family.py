# SPDX-License-Identifier: Apache-2.0
"""A family of strata: each experiment belongs to one of them, or to none."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Family:
    """Strata by one property of the fault.

    Args:
      key: short name, for files and anchors.
      title: in words.
      labels: names of the strata, in the order to show them; printable.
      codes: int [rows], place of the stratum of each experiment; -1: of none.
      numbers: the values, where the property is a number; else None.
    """

    key: str
    title: str
    labels: tuple[str, ...]
    codes: np.ndarray
    numbers: tuple[int, ...] | None = None

    def __len__(self) -> int:
        return len(self.labels)


def joined(first: Family, second: Family) -> np.ndarray:
    """Return the place of each pair of strata, row-major; -1: of none."""
    none = (first.codes < 0) | (second.codes < 0)
    pairs = first.codes.astype(np.int64) * len(second) + second.codes
    return np.where(none, -1, pairs)
