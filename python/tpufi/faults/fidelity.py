# SPDX-License-Identifier: Apache-2.0
"""How near the faults that are drawn come to the table of an error model."""

import collections
from typing import NamedTuple

from tpufi.faults.draws import Draws
from tpufi.faults.error_model import ErrorModel


class Deviation(NamedTuple):
    """One class: its share by the table, and among the draws."""

    name: str
    share: float
    drawn: float


def deviations(model: ErrorModel, seed: int, count: int) -> list[Deviation]:
    """Draw the classes of experiments 0 to count - 1 of a campaign.

    Args:
      model: the error model.
      seed: of the campaign, 0 <= seed < 2**64.
      count: how many, >= 1.

    Returns:
      The classes in the order of the table.
    """
    drawn = collections.Counter(
        model.drawn(Draws(seed, number)).name for number in range(count)
    )
    return [
        Deviation(name, float(share), drawn[name] / count)
        for name, share in model.shares.items()
    ]
