# SPDX-License-Identifier: Apache-2.0
"""Detectors on the faults of several campaigns: thresholds of one half, scores of both.

Thresholds are fitted for each workload on its experiments of even number, and looked at
on those of odd number; false alarms are those of golden runs that no threshold knows.
"""

import dataclasses
import functools
from collections.abc import Iterable, Mapping

import numpy as np
from scipy import stats

from tpufi.campaign.detector_table import Found, fitted_half, fitted_threshold
from tpufi.errors import InputError

TOGETHER = "all together"
HALF = 0.5  # Coverage below which a cell is a blind spot.

# By detector: steps from the fault to the first alarm in each experiment, or -1.
Alarms = Mapping[str, np.ndarray]


def with_all(latencies: Alarms) -> dict[str, np.ndarray]:
    """Return the latencies with those of the first detector to raise an alarm."""
    return {**latencies, TOGETHER: first_of(latencies.values())}


def first_of(latencies: Iterable[np.ndarray]) -> np.ndarray:
    """Return the latencies of the first of some detectors to raise an alarm."""
    whole = np.stack(list(latencies))
    first = np.where(whole < 0, np.iinfo(int).max, whole).min(0)
    return np.where((whole < 0).all(0), -1, first)


@dataclasses.dataclass(frozen=True, eq=False)
class Bench:
    """What detectors made of the same faults in several workloads.

    Args:
      parts: by workload: its experiments.
      clean: by workload: golden scores of another golden run; may be fewer.

    Raises:
      InputError: there is no experiment, or the detectors differ.
    """

    parts: Mapping[str, Found]
    clean: Mapping[str, Found]

    def __post_init__(self) -> None:
        every = [*self.parts.values(), *self.clean.values()]
        if not self.parts or not all(len(p.numbers) for p in self.parts.values()):
            raise InputError("no experiments under detectors; run the campaigns first")
        if any([*f.detectors] != [*every[0].detectors] for f in every):
            raise InputError(
                "the campaigns have different detectors; name the same in all plans"
            )

    @property
    def detectors(self) -> tuple[str, ...]:
        """Names of the detectors."""
        return tuple(next(iter(self.parts.values())).detectors)

    @functools.cached_property
    def thresholds(self) -> Mapping[str, Mapping[str, float]]:
        """By workload and detector: what the fitted half gives."""
        return {
            workload: {
                name: fitted_threshold(scores, part.harmful, fitted_half(part.numbers))
                for name, scores in part.detectors.items()
            }
            for workload, part in self.parts.items()
        }

    @functools.cached_property
    def _halves(self) -> Mapping[str, Found]:
        return {w: p.where(~fitted_half(p.numbers)) for w, p in self.parts.items()}

    @functools.cached_property
    def scored(self) -> Found:
        """The experiments that no threshold was fitted on, of all workloads."""
        return Found.together(list(self._halves.values()))

    @functools.cached_property
    def workloads(self) -> np.ndarray:
        """Workload of each scored experiment."""
        counts = [len(part.numbers) for part in self._halves.values()]
        return np.repeat(list(self._halves), counts)

    def _threshold(self, workload: str, name: str, fitted: bool) -> float:
        if fitted:
            return self.thresholds[workload][name]
        return self.parts[workload].detectors[name].threshold

    def latencies(self, fitted: bool) -> dict[str, np.ndarray]:
        """Return the latencies in the scored half, those of all together last.

        Args:
          fitted: by the fitted thresholds; else by those of the plans.
        """
        return with_all(
            {
                name: np.concatenate(
                    [
                        part.detectors[name].latencies(
                            self._threshold(workload, name, fitted)
                        )
                        for workload, part in self._halves.items()
                    ]
                )
                for name in self.detectors
            }
        )

    def fitted_hits(self) -> dict[str, np.ndarray]:
        """Return which harmful experiments of the fitted half each detector covers.

        The thresholds are those of the plans.
        """
        halves = [
            part.where(fitted_half(part.numbers) & part.harmful)
            for part in self.parts.values()
        ]
        return {
            name: np.concatenate(
                [
                    half.detectors[name].latencies(half.detectors[name].threshold) >= 0
                    for half in halves
                ]
            )
            for name in self.detectors
        }

    @property
    def clean_steps(self) -> int:
        """Clean steps that no threshold was fitted on."""
        return sum(found.golden_steps for found in self.clean.values())

    def clean_alarms(self, fitted: bool) -> dict[str, int]:
        """Return in how many of these each detector raises an alarm, and any."""
        found = self.clean_hits(fitted)
        every = np.any(list(found.values()), 0) if found else np.zeros(0, bool)
        return {n: int(own.sum()) for n, own in (found | {TOGETHER: every}).items()}

    def clean_hits(self, fitted: bool) -> dict[str, np.ndarray]:
        """Return in which of these each detector raises an alarm."""
        parts = [self.clean_hits_of(workload, fitted) for workload in self.clean]
        return {
            name: np.concatenate([own[name] for own in parts] or [np.zeros(0, bool)])
            for name in self.detectors
        }

    def clean_hits_of(self, workload: str, fitted: bool) -> dict[str, np.ndarray]:
        """Return the same of one workload's clean steps."""
        return {
            name: scores.golden_hits(self._threshold(workload, name, fitted))
            for name, scores in self.clean[workload].detectors.items()
        }

    def areas(self) -> dict[str, float]:
        """Return the area under the ROC curve of each detector, in the scored half.

        Positives are harmful experiments, negatives masked ones. Scores of different
        workloads are not compared: the areas are weighted by harmful experiments.
        """
        found = {}
        for name in self.detectors:
            parts = [
                (area(part.detectors[name].peaks, part.harmful), part.harmful.sum())
                for part in self._halves.values()
                if 0 < part.harmful.sum() < len(part.harmful)
            ]
            weight = sum(n for _, n in parts)
            found[name] = (
                float(sum(a * n for a, n in parts) / weight) if parts else float("nan")
            )
        return found

    def curves(self, name: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Return the ROC curve of a detector in the scored half, by workload."""
        return {
            workload: curve(part.detectors[name].peaks, part.harmful)
            for workload, part in self._halves.items()
            if 0 < part.harmful.sum() < len(part.harmful)
        }


def joined(found: Iterable[tuple[str, Found]]) -> dict[str, Found]:
    """Return the experiments of campaigns by workload; several of one are put together.

    Args:
      found: workload and experiments of each campaign.
    """
    parts: dict[str, list[Found]] = {}
    for workload, one in found:
        parts.setdefault(workload, []).append(one)
    return {workload: Found.together(some) for workload, some in parts.items()}


def area(peaks: np.ndarray, harmful: np.ndarray) -> float:
    """Return the area under a ROC curve: Mann and Whitney's statistic by its largest.

    Args:
      peaks: score of each experiment.
      harmful: whether it is a positive.
    """
    ranks = stats.rankdata(peaks)
    hits, rest = int(harmful.sum()), int((~harmful).sum())
    return float((ranks[harmful].sum() - hits * (hits + 1) / 2) / (hits * rest))


def curve(peaks: np.ndarray, harmful: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a ROC curve, from (0, 0) to (1, 1).

    Args:
      peaks: score of each experiment.
      harmful: whether it is a positive.

    Returns:
      Share of alarms among the others, and among the harmful ones, where it bends.
    """
    limits = np.unique(peaks)[::-1]
    alarms = peaks >= limits[:, None]
    false = np.concatenate([[0], alarms[:, ~harmful].sum(1)])
    true = np.concatenate([[0], alarms[:, harmful].sum(1)])
    steps = np.diff(false), np.diff(true)
    # Where the line goes straight on nothing is to be told.
    turns = steps[0][1:] * steps[1][:-1] != steps[0][:-1] * steps[1][1:]
    kept = np.concatenate([[True], turns, [True]])
    return false[kept] / (~harmful).sum(), true[kept] / harmful.sum()
