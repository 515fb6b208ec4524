# SPDX-License-Identifier: Apache-2.0
"""The scores of detectors: of each step of the golden run and of the experiments."""

from collections.abc import Iterator

import numpy as np

from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.journal.row import unpack_scores
from tpufi.campaign.journal.schema import GOLDEN


def has_scores(journal: Reader) -> bool:
    """Return whether detectors watched the campaign."""
    tables = "SELECT 1 FROM sqlite_schema WHERE name = 'score'"
    return bool(list(journal.query(tables)))


def golden_scores_of(journal: Reader, measure: int) -> np.ndarray:
    """Return the scores of the steps of the golden run, float32."""
    statement = "SELECT scores FROM score WHERE experiment = ? AND measure = ?"
    ((blob,),) = journal.query(statement, (GOLDEN, measure))
    return np.frombuffer(blob, "<f4")


def scores_of(journal: Reader, measure: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yield each experiment and its scores by one detector, by experiment.

    The scores are float32, one for each step from the fault on.
    """
    statement = (
        "SELECT experiment, scores FROM score WHERE measure = ? AND experiment >= 0 "
        "ORDER BY experiment"
    )
    for number, blob in journal.query(statement, (measure,)):
        yield number, np.frombuffer(blob, "<f4")


def scores_of_one(journal: Reader, experiment: int) -> list[tuple[float, ...]]:
    """Return the scores of one experiment by each detector; none without detectors."""
    if not has_scores(journal):
        return []
    statement = "SELECT scores FROM score WHERE experiment = ? ORDER BY measure"
    return [unpack_scores(blob) for (blob,) in journal.query(statement, (experiment,))]
