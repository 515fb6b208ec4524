# SPDX-License-Identifier: Apache-2.0
"""The trials of an inference campaign, their rates with intervals, and their file."""

import csv
import dataclasses
import math
import os
import pathlib
import statistics
from collections.abc import Sequence
from typing import Any

from tpufi.errors import InputError
from tpufi.extras import optional
from tpufi.io import atomic_write
from tpufi.messages import nearest_first, quote
from tpufi.statistics.intervals import Interval, wilson

_FIELDS = ("run", "item", "model", "site", "op", "element", "bit", "masked")


@dataclasses.dataclass(frozen=True)
class Trial:
    """One item with one fault.

    Args:
      run: number of the run.
      item: index in the run's batch.
      model: fault model.
      site: name of the faulty site, or the broken unit.
      op: its operation, or the class of the unit.
      element: flat index of the first faulty element in the whole tensor; of a unit
        among those of its kind.
      bit: the flipped or stuck bit, 0 the least significant; None: it is not one bit.
      masked: whether the item's answer kept all its bits.
      measures: values by name.
    """

    run: int
    item: int
    model: str
    site: str
    op: str
    element: int
    bit: int | None
    masked: bool
    measures: dict[str, bool | float]


@dataclasses.dataclass(frozen=True)
class InferenceResult:
    """All trials of a campaign.

    Args:
      trials: in the order of runs and items.
      left_out: items that were answered wrongly without a fault, and so not tried.
    """

    trials: tuple[Trial, ...]
    left_out: int

    def counts(self, measure: str) -> tuple[int, int]:
        """Return trials for which a truth value held, and all trials."""
        values = self.values(measure)
        if not all(isinstance(value, bool) for value in values):
            raise InputError(f"{quote(measure)} is a number; ask for its values")
        return sum(values), len(values)

    def rate(self, measure: str, confidence: float = 0.95) -> tuple[float, Interval]:
        """Return the share of trials for which it held, and Wilson's interval."""
        hits, trials = self.counts(measure)
        return hits / trials if trials else math.nan, wilson(hits, trials, confidence)

    def values(self, measure: str) -> list[bool | float]:
        """Return a measure of all trials; its name may be cut at the colon.

        Raises:
          InputError: there is no such measure.
        """
        if measure == "masked":
            return [trial.masked for trial in self.trials]
        if not self.trials:
            return []
        known = {name.split(":")[0]: name for name in self.trials[0].measures}
        name = known.get(measure.split(":")[0])
        if name is None:
            raise InputError(
                f"no measure {quote(measure)}; known: {nearest_first(measure, known)}"
            )
        return [trial.measures[name] for trial in self.trials]

    def summary(self) -> str:
        """Return a line for each measure: a rate with interval, or quartiles."""
        lines = [f"{len(self.trials)} trials, {self.left_out} items left out"]
        names = ["masked", *(self.trials[0].measures if self.trials else ())]
        for name in names:
            values = self.values(name)
            if all(isinstance(value, bool) for value in values):
                rate, (low, high) = self.rate(name)
                lines.append(f"{name}: {rate:.2%} ({low:.2%} to {high:.2%})")
            else:
                finite = [value for value in values if math.isfinite(value)]
                spread = _quartiles(finite)
                lines.append(
                    f"{name}: {spread}, {len(values) - len(finite)} not finite"
                )
        return "\n".join(lines)

    def to_pandas(self) -> Any:
        """Return a `pandas.DataFrame` with a row for each trial.

        The columns of measures have their names up to the colon.

        Raises:
          InputError: pandas is not installed.
        """
        frame = optional("pandas", "a data frame").DataFrame
        measures = [
            {name.split(":")[0]: value for name, value in trial.measures.items()}
            for trial in self.trials
        ]
        own = [{name: getattr(t, name) for name in _FIELDS} for t in self.trials]
        return frame([{**a, **b} for a, b in zip(own, measures, strict=True)])

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the trials as CSV; the columns of measures carry their definitions.

        Raises:
          InputError: the file cannot be written.
        """
        target = pathlib.Path(path)
        names = list(self.trials[0].measures) if self.trials else []
        with atomic_write(target) as scratch, open(scratch, "w", newline="") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow((*_FIELDS, *names))
            for trial in self.trials:
                own = [getattr(trial, field) for field in _FIELDS]
                rows.writerow([_text(v) for v in (*own, *trial.measures.values())])


def _text(value: object) -> object:
    return int(value) if isinstance(value, bool) else value


def _quartiles(values: Sequence[float]) -> str:
    if len(values) < 2:
        return f"{values[0]:.4g}" if values else "no value"
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"median {median:.4g} ({low:.4g} to {high:.4g})"
