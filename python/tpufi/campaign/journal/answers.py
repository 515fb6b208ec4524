# SPDX-License-Identifier: Apache-2.0
"""The measures of experiments, in two tables of their own beside a campaign's rows."""

import math
from collections.abc import Iterator

from tpufi.campaign.journal.reader import Reader

# Begins the name of a monitor's measure: the steps from the fault to its first alarm.
ALARM = "alarm: "


def measures_of(journal: Reader) -> list[tuple[int, str, bool]]:
    """Return number, name and whether it is a truth value of each measure, if any."""
    tables = "SELECT 1 FROM sqlite_schema WHERE name = 'measure'"
    if not list(journal.query(tables)):
        return []
    found = journal.query("SELECT id, name, is_truth FROM measure ORDER BY id")
    return [(number, name, bool(truth)) for number, name, truth in found]


def values_of(journal: Reader, measure: int) -> Iterator[float]:
    """Yield the values of a measure, by experiment."""
    statement = (
        "SELECT value FROM answer JOIN experiment USING (experiment) "
        "WHERE measure = ? ORDER BY experiment"
    )
    for (value,) in journal.query(statement, (measure,)):
        yield math.nan if value is None else value


def values_of_one(journal: Reader, experiment: int) -> list[float]:
    """Return what the measures made of one experiment, in their order."""
    statement = "SELECT value FROM answer WHERE experiment = ? ORDER BY measure"
    found = journal.query(statement, (experiment,))
    return [math.nan if value is None else value for (value,) in found]
