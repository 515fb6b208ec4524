# SPDX-License-Identifier: Apache-2.0
"""Typical experiments of each outcome, chosen without any chance."""

from typing import NamedTuple

import numpy as np

from tpufi.campaign.effect import in_order
from tpufi.campaign.report.columns import Columns

WHICH = ("best", "median", "worst")


class Typical(NamedTuple):
    """An experiment that stands for an outcome.

    Args:
      outcome: its outcome.
      which: one of `WHICH`.
      experiment: number.
    """

    outcome: str
    which: str
    experiment: int


def typical(columns: Columns) -> tuple[Typical, ...]:
    """Choose the median experiment of each outcome, and the ends.

    Experiments of an outcome are ordered by the loss of their last step, one that is
    not finite behind all others; then by the number of steps, the longest first; then
    by their number. Those without losses are left out.

    Args:
      columns: of the journal.
    """
    outcomes = columns.values["outcome"]
    steps = np.array(columns.values["steps_run"])[columns.codes["steps_run"]]
    found = []
    for outcome in in_order(outcomes):
        here = columns.codes["outcome"] == outcomes.index(outcome)
        rows = np.flatnonzero(here & columns.has_loss)
        if not len(rows):
            continue
        losses = columns.last_loss[rows]
        losses = np.where(np.isfinite(losses), losses, np.inf)
        order = rows[np.lexsort((rows, -steps[rows], losses))]
        places = {"median": (len(order) - 1) // 2, "best": 0, "worst": -1}
        seen = set()
        for which, place in places.items():
            number = int(columns.experiment[order[place]])
            if number not in seen:
                found.append(Typical(outcome, which, number))
            seen.add(number)
    return tuple(found)
