# SPDX-License-Identifier: Apache-2.0
"""The journal as a data frame, read in one pass; every table counts over it."""

import itertools

import numpy as np
import pandas as pd
from pandas.api.types import union_categoricals

from tpufi.campaign.allocation import Allocation
from tpufi.campaign.effect import is_judged, is_visible
from tpufi.campaign.journal.reader import Reader
from tpufi.errors import InputError

# Column -> type; a row takes about 65 bytes.
_TYPES = {
    "experiment": "int64",
    "wall_s": "float64",
    "last_loss": "float64",
    **dict.fromkeys(
        (
            *("model", "layer", "direction", "operand", "op", "operation"),
            *("outcome", "moment"),
        ),
        "category",
    ),
    **dict.fromkeys(("epoch", "step", "steps_run"), "int32"),
    **dict.fromkeys(("bit", "detection_latency"), "Int32"),
    "item": "Int64",
}
# Of the (loss, accuracy) pairs in float64, the loss of the last one.
_SELECT = (f"SELECT {', '.join(_TYPES)} FROM experiment ORDER BY experiment").replace(
    "last_loss", "substr(losses, -16, 8)"
)
_ROWS = 50_000
_NO_LOSS = np.array(np.nan, "<f8").tobytes()


def read_experiments(journal: Reader) -> pd.DataFrame:
    """Read all rows; those that are added meanwhile are left out.

    Args:
      journal: open for reading.

    Returns:
      A row for each experiment, ascending, with columns of the journal and

          last_loss  of the last step that was kept, inf if it was not finite; nan:
                     none was kept
          judged     whether the outcome says something about the fault
          visible    whether it is an effect that is not masked
          cluster    number of its (epoch, step, input), ascending
    """
    rows = journal.query(_SELECT)
    parts = []
    while batch := list(itertools.islice(rows, _ROWS)):
        parts.append(_part(zip(*batch, strict=True)))
    parts = parts or [_part([()] * len(_TYPES))]
    found = pd.DataFrame({name: _whole([p[name] for p in parts]) for name in _TYPES})
    outcomes = found["outcome"].cat
    for name, holds in (("judged", is_judged), ("visible", is_visible)):
        found[name] = np.array([holds(o) for o in outcomes.categories], bool)[
            outcomes.codes
        ]
    moments = found.groupby(["epoch", "step", "item"], dropna=False)
    found["cluster"] = moments.ngroup()
    return found


def _part(columns) -> pd.DataFrame:
    values = dict(zip(_TYPES, columns, strict=True))
    blobs = values["last_loss"]
    losses = np.frombuffer(b"".join([blob or _NO_LOSS for blob in blobs]), "<f8")
    kept = np.array([bool(blob) for blob in blobs], bool)
    values["last_loss"] = np.where(kept & ~np.isfinite(losses), np.inf, losses)
    return pd.DataFrame({n: pd.Series(values[n], dtype=t) for n, t in _TYPES.items()})


def _whole(parts: list[pd.Series]) -> pd.Series:
    if parts[0].dtype == "category":
        return pd.Series(union_categoricals(parts, sort_categories=True))
    return pd.concat(parts, ignore_index=True)


def weights(experiments: pd.DataFrame, allocation: Allocation) -> pd.Series:
    """Return the weight of each experiment of a campaign that was allotted to strata.

    An experiment stands for the share of its stratum divided among the stratum's judged
    experiments, times the number of experiments; those that are not judged weigh 0. A
    stratum without experiments is missing from the whole.

    Raises:
      InputError: an experiment lies in a stratum that the allocation does not know.
    """
    found = pd.Series(0.0, experiments.index)
    strata = experiments.groupby(list(allocation.keys), observed=True)["judged"]
    for stratum, judged in strata:
        if stratum not in allocation.shares:
            raise InputError(
                f"journal: an experiment in stratum {' '.join(stratum)}, which its "
                "allocation does not have; the journal is damaged"
            )
        rows = judged.index[judged]
        share = allocation.shares[stratum] / max(1, len(rows))
        found[rows] = share * len(experiments)
    return found
