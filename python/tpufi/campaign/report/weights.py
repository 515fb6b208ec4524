# SPDX-License-Identifier: Apache-2.0
"""Weights of experiments that were allotted to strata, not drawn by the plan."""

import numpy as np

from tpufi.campaign.allocation import Allocation
from tpufi.campaign.effect import is_judged
from tpufi.campaign.report.columns import Columns
from tpufi.errors import InputError


def weights_of(columns: Columns, allocation: Allocation) -> np.ndarray:
    """Return the weight of each experiment, float64 [rows].

    An experiment stands for the share of its stratum divided among the stratum's judged
    experiments, times the number of experiments; those that are not judged weigh 0. A
    stratum without experiments is missing from the whole.

    Args:
      columns: of the journal.
      allocation: of the campaign.

    Raises:
      InputError: an experiment lies in a stratum that the allocation does not know.
    """
    sizes = [len(columns.values[key]) for key in allocation.keys]
    stratum = np.zeros(len(columns), np.int64)
    for key, size in zip(allocation.keys, sizes, strict=True):
        stratum = stratum * size + columns.codes[key]
    found, codes = np.unique(stratum, return_inverse=True)
    outcomes = np.array([is_judged(o) for o in columns.values["outcome"]], bool)
    judged = outcomes[columns.codes["outcome"]]
    trials = np.bincount(codes[judged], minlength=len(found))
    share = np.zeros(len(found))
    for number, place in enumerate(zip(*np.unravel_index(found, sizes), strict=True)):
        named = zip(allocation.keys, place, strict=True)
        name = tuple(columns.values[key][i] for key, i in named)
        if name not in allocation.shares:
            raise InputError(
                f"journal: an experiment in stratum {' '.join(name)}, which its "
                "allocation does not have; the journal is damaged"
            )
        share[number] = allocation.shares[name]
    each = np.divide(share, trials, out=np.zeros_like(share), where=trials > 0)
    return np.where(judged, each[codes] * len(columns), 0.0)
