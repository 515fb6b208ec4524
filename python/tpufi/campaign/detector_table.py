# SPDX-License-Identifier: Apache-2.0
"""What detectors found in a campaign at any threshold, from the scores of its steps."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import numpy as np

from tpufi.campaign.effect import is_judged, is_visible
from tpufi.campaign.journal.answers import ALARM, measures_of
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.journal.scores import golden_scores_of, has_scores, scores_of
from tpufi.outcomes.outcome import MASKED_IDENTICAL
from tpufi.statistics.comparison import sign_test

_FAULTS = "SELECT experiment, outcome, model, direction FROM experiment ORDER BY 1"


@dataclasses.dataclass(frozen=True, eq=False)
class Scores:
    """The scores of one detector.

    Args:
      name: of the detector.
      threshold: of the campaign's plan.
      golden: float32, of the steps of the golden run.
      steps: float32, of the steps of each experiment from the fault on, in the order of
        `Found.numbers`.
    """

    name: str
    threshold: float
    golden: np.ndarray
    steps: Sequence[np.ndarray]

    def latencies(self, threshold: float) -> np.ndarray:
        """Return the steps from the fault to the first alarm; -1: there was none."""
        found = [np.flatnonzero(~(own <= threshold)) for own in self.steps]
        return np.array([hits[0] if hits.size else -1 for hits in found], int)

    def golden_alarms(self, threshold: float) -> int:
        """Return how many steps of the golden run raise an alarm."""
        return int((~(self.golden <= threshold)).sum())

    @functools.cached_property
    def peaks(self) -> np.ndarray:
        """The largest score of each experiment; NaN counts as Inf."""
        whole = [np.nan_to_num(own, nan=np.inf, posinf=np.inf) for own in self.steps]
        return np.array([own.max(initial=-np.inf) for own in whole])


@dataclasses.dataclass(frozen=True, eq=False)
class Found:
    """The judged experiments of a campaign and the detectors' scores.

    Args:
      numbers: of the experiments, ascending.
      outcomes: of each.
      models: fault model of each.
      directions: pass that the fault was in.
      detectors: by name.
    """

    numbers: np.ndarray
    outcomes: np.ndarray
    models: np.ndarray
    directions: np.ndarray
    detectors: Mapping[str, Scores]

    @functools.cached_property
    def harmful(self) -> np.ndarray:
        """Whether the outcome of each is not masked."""
        return np.array([is_visible(o) for o in self.outcomes], bool)

    @functools.cached_property
    def harmless(self) -> np.ndarray:
        """Whether the fault changed bits and was masked."""
        same = self.outcomes == MASKED_IDENTICAL
        return ~self.harmful & ~same

    @property
    def golden_steps(self) -> int:
        """Steps of the golden run."""
        return len(next(iter(self.detectors.values())).golden)


def read_found(journal: Reader) -> Found | None:
    """Return what detectors found; None in a campaign without them.

    Raises:
      ValueError: the journal's rows do not belong together.
    """
    if not has_scores(journal):
        return None
    plan = journal.plan()
    rows = [row for row in journal.query(_FAULTS) if is_judged(row[1])]
    numbers, *columns = (np.array(c) for c in zip(*rows, strict=True)) if rows else (
        [np.zeros(0, int)] * 4
    )  # fmt: skip
    found = {}
    for measure, label, _ in measures_of(journal):
        name = label.removeprefix(ALARM)
        steps = dict(scores_of(journal, measure))
        found[name] = Scores(
            name,
            float(plan["thresholds of detectors"][name]),
            golden_scores_of(journal, measure),
            [steps[number] for number in numbers.tolist()],
        )
    return Found(numbers, *columns, found)


def fitted_half(numbers: np.ndarray) -> np.ndarray:
    """Return which experiments thresholds are fitted on: those of even number.

    All others are scored, so that no experiment is both.
    """
    return numbers % 2 == 0


def fitted_threshold(scores: Scores, harmful: np.ndarray, fitted: np.ndarray) -> float:
    """Return the threshold of the largest coverage less false alarms.

    Among the peaks of the fitted experiments, and not below the largest score of the
    golden run: coverage of harmful experiments less the share of alarms on the others.

    Args:
      scores: of a detector.
      harmful: whether each experiment is.
      fitted: whether each experiment may be looked at.
    """
    least = float(np.nan_to_num(scores.golden, nan=np.inf).max(initial=0.0))
    peaks, hurt = scores.peaks[fitted], harmful[fitted]
    candidates = np.unique([least, *peaks[np.isfinite(peaks) & (peaks > least)]])

    def gain(threshold: float) -> float:
        alarms = peaks > threshold
        share = alarms[hurt].mean() if hurt.any() else 0.0
        return share - (alarms[~hurt].mean() if (~hurt).any() else 0.0)

    # Of equal ones the largest: the farthest from clean steps.
    return float(max(candidates, key=lambda t: (gain(t), t)))


def mcnemar(first: np.ndarray, second: np.ndarray) -> float:
    """Return the p-value of two detectors that were asked about the same faults.

    Args:
      first: whether one raised an alarm in each experiment.
      second: the same of the other.
    """
    return sign_test(int((first & ~second).sum()), int((second & ~first).sum()))
