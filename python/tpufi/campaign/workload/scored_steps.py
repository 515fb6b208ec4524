# SPDX-License-Identifier: Apache-2.0
"""The steps of an experiment under detectors."""

import math
from typing import Any

import tensorflow as tf

from tpufi.campaign.workload.golden_scores import GoldenScores
from tpufi.detect import Detector, WatchedSession
from tpufi.experiment.follow import Armed
from tpufi.training import Session, State, StepResult


class ScoredSteps:
    """Runs steps like a session and keeps what the detectors made of them.

    Args:
      session: whose steps are watched.
      detectors: by name.
      golden: what they remember of the golden run.

    Attributes:
      watched: the session under detectors.
    """

    def __init__(
        self, session: Session, detectors: dict[str, Detector], golden: GoldenScores
    ):
        self.watched = WatchedSession(session, detectors)
        self._golden = golden
        self._memory: Any = None
        self._rows: list[list[float]] = []

    def begin(self, number: int) -> None:
        """Begin an experiment that forks before a step of the golden run."""
        kept = self._golden.memories[number]
        self._memory, self._rows = tf.nest.map_structure(tf.constant, kept), []

    def step(self, state: State, number: int, fault: Armed | None) -> StepResult:
        """Run the next step of the experiment."""
        found = self.watched.step(state, number, self._memory, fault)
        self._memory = found.memory
        self._rows.append(list(found.scores.values()))
        return found.result

    def scores(self) -> tuple[tuple[float, ...], ...]:
        """Return the scores of the experiment's steps, for each detector."""
        if not self._rows:
            return tuple(() for _ in self.watched.detectors)
        return tuple(zip(*self._rows, strict=True))

    def alarms(self) -> tuple[float, ...]:
        """Return the steps from the fault to the first alarm; NaN: there was none."""
        return tuple(
            next((float(i) for i, s in enumerate(own) if found.alarms(s)), math.nan)
            for found, own in zip(
                self.watched.detectors.values(), self.scores(), strict=True
            )
        )
