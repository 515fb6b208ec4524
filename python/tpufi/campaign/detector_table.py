# SPDX-License-Identifier: Apache-2.0
"""What detectors found in a campaign at any threshold, from the scores of its steps."""

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from tpufi.campaign.effect import in_order, is_judged, is_visible
from tpufi.campaign.journal.answers import ALARM, measures_of
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.journal.scores import golden_scores_of, has_scores, scores_of
from tpufi.faults.catalogue import FAULT_MODELS
from tpufi.faults.error_model_file import TABLES
from tpufi.outcomes.outcome import MASKED_IDENTICAL
from tpufi.statistics.comparison import sign_test
from tpufi.units import UNITS

_FAULTS = (
    "SELECT experiment, outcome, model, direction, op, moment FROM experiment ORDER BY "
    "1"
)


_COLUMNS = ("numbers", "outcomes", "models", "directions", "places", "families")

# Kinds of faults, as a reader compares them.
PUBLISHED, MEASURED = "published transients", "measured errors"
REPEATED, OTHER, BROKEN = "intermittent", "other transients", "broken units"
FAMILIES = (PUBLISHED, MEASURED, REPEATED, OTHER, BROKEN)


def family(model: str, moment: str | None, op: str = "") -> str:
    """Return the kind of a fault.

    Args:
      model: its fault model.
      moment: when it is injected, if not in all steps of its duration.
      op: type of the operation, of a broken unit its class.
    """
    if op in UNITS:
        return BROKEN
    if moment is not None:
        return REPEATED
    if model in FAULT_MODELS:
        return PUBLISHED
    return MEASURED if model in TABLES else OTHER


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

    def golden_hits(self, threshold: float) -> np.ndarray:
        """Return whether each step of the golden run raises an alarm."""
        return ~(self.golden <= threshold)

    def golden_alarms(self, threshold: float) -> int:
        """Return how many steps of the golden run raise an alarm."""
        return int(self.golden_hits(threshold).sum())

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
      places: the same with the type of the operation.
      families: kind of the faults, of `FAMILIES`.
      detectors: by name.
    """

    numbers: np.ndarray
    outcomes: np.ndarray
    models: np.ndarray
    directions: np.ndarray
    places: np.ndarray
    families: np.ndarray
    detectors: Mapping[str, Scores]

    @classmethod
    def together(cls, parts: Sequence["Found"]) -> "Found":
        """Return the experiments of several campaigns with the same detectors.

        The steps of the golden run are those of the first.

        Args:
          parts: at least one.
        """
        columns = [
            np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS
        ]
        detectors = {
            name: dataclasses.replace(
                scores,
                steps=[own for part in parts for own in part.detectors[name].steps],
            )
            for name, scores in parts[0].detectors.items()
        }
        return cls(*columns, detectors)

    def where(self, chosen: np.ndarray) -> "Found":
        """Return some of the experiments; `chosen` has a truth value for each."""
        places = np.flatnonzero(chosen)
        detectors = {
            name: dataclasses.replace(scores, steps=[scores.steps[i] for i in places])
            for name, scores in self.detectors.items()
        }
        columns = [getattr(self, name)[places] for name in _COLUMNS]
        return Found(*columns, detectors)

    @functools.cached_property
    def harmful(self) -> np.ndarray:
        """Whether the outcome of each is not masked."""
        return np.array([is_visible(o) for o in self.outcomes], bool)

    @functools.cached_property
    def harmless(self) -> np.ndarray:
        """Whether the fault changed bits and was masked."""
        same = self.outcomes == MASKED_IDENTICAL
        return ~self.harmful & ~same

    def harmful_by(self, values: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
        """Yield each value that a harmful experiment has, and which of these have it.

        Args:
          values: of each experiment.
        """
        for value in in_order(values[self.harmful].tolist()):
            yield value, self.harmful & (values == value)

    def harmful_cells(
        self, first: np.ndarray, second: np.ndarray
    ) -> Iterator[tuple[str, str, np.ndarray]]:
        """Yield the pairs of values that harmful experiments have, sorted, and which.

        Args:
          first: of each experiment.
          second: likewise.
        """
        pairs = zip(first[self.harmful], second[self.harmful], strict=True)
        for one, other in sorted({*pairs}):
            among = self.harmful & (first == one) & (second == other)
            yield str(one), str(other), among

    @property
    def golden_steps(self) -> int:
        """Steps of the golden run."""
        return len(next(iter(self.detectors.values())).golden)


def covered(latencies: np.ndarray, among: np.ndarray) -> tuple[int, int]:
    """Return how many of some experiments have an alarm, and how many they are.

    Args:
      latencies: of all experiments, see `Scores.latencies`.
      among: whether each is one of them.
    """
    return int((latencies[among] >= 0).sum()), int(among.sum())


def read_found(journal: Reader) -> Found | None:
    """Return what detectors found; None in a campaign without them.

    Raises:
      ValueError: the journal's rows do not belong together.
    """
    if not has_scores(journal):
        return None
    plan = journal.plan()
    rows = [row for row in journal.query(_FAULTS) if is_judged(row[1])]
    found = []
    for measure, name in detectors_of(journal):
        steps = dict(scores_of(journal, measure))
        threshold = float(plan["thresholds of detectors"][name])
        golden = golden_scores_of(journal, measure)
        own = [steps[number] for number, *_ in rows]
        found.append(Scores(name, threshold, golden, own))
    return found_of(rows, found)


def detectors_of(journal: Reader) -> Iterator[tuple[int, str]]:
    """Yield number and name of each detector; other measures are those of recovery."""
    for measure, label, _ in measures_of(journal):
        if label.startswith(ALARM):
            yield measure, label.removeprefix(ALARM)


def found_of(rows: Iterable[tuple], detectors: Iterable[Scores]) -> Found:
    """Return what detectors found in experiments.

    Args:
      rows: number, outcome, fault model, direction, type of the operation, and moment
        or None of each judged experiment, by number.
      detectors: their scores, in the same order.
    """
    texts = [
        (
            number,
            outcome,
            model,
            direction,
            f"{direction} {op}",
            family(model, moment, op),
        )
        for number, outcome, model, direction, op, moment in rows
    ]
    columns = map(np.array, zip(*texts, strict=True)) if texts else (
        [np.zeros(0, int)] * len(_COLUMNS)
    )  # fmt: skip
    return Found(*columns, {scores.name: scores for scores in detectors})


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
