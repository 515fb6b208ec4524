# SPDX-License-Identifier: Apache-2.0
"""Thresholds from clean steps: a file that says which steps it is from."""

import dataclasses
import json
import os
import pathlib
from collections.abc import Callable, Mapping

import numpy as np

from tpufi.detect.catalogue import DETECTORS, detector
from tpufi.detect.detector import Detector
from tpufi.detect.watch import WatchedSession
from tpufi.errors import InputError
from tpufi.io import atomic_write
from tpufi.training import Session
from tpufi.untrusted import json_object, read_bounded, reading

_LARGEST_FILE = 1 << 20
_REMEDY = "write it with tpufi detect calibrate"


@dataclasses.dataclass(frozen=True)
class Calibration:
    """What clean steps of a workload tell of detectors.

    Args:
      workload: its name.
      data: name of the data set.
      seed: of weights, order, augmentation and dropout.
      replicas: of a step.
      per_replica: examples of one.
      steps: clean steps from the start of training.
      margin: factor of the largest score that is the threshold, >= 1.
      largest: largest score of each detector.
      thresholds: of each; that of a detector without any score above 0 is its default.
    """

    workload: str
    data: str
    seed: int
    replicas: int
    per_replica: int
    steps: int
    margin: float
    largest: Mapping[str, float]
    thresholds: Mapping[str, float]

    def detectors(self) -> dict[str, Detector]:
        """Return the detectors with these thresholds, by name."""
        return {n: detector(n, threshold=t) for n, t in self.thresholds.items()}

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write it as JSON, whole or not at all.

        Raises:
          InputError: the file cannot be written.
        """
        with atomic_write(pathlib.Path(path)) as scratch:
            scratch.write_text(json.dumps(dataclasses.asdict(self), indent=1) + "\n")


def calibrate(
    session: Session,
    names: tuple[str, ...] = tuple(DETECTORS),
    steps: int = 1000,
    margin: float = 3.0,
    seen: Callable[[int], None] = lambda number: None,
) -> Calibration:
    """Run clean steps from the start of a training, and return what they tell.

    Args:
      session: its workload, data and seed.
      names: of the detectors.
      steps: how many, >= 1.
      margin: factor of the largest score that is the threshold, >= 1.
      seen: called after each step with its number.

    Raises:
      InputError: a number is out of range, or a clean step scores Inf or NaN.
    """
    if steps < 1 or margin < 1:
        raise InputError(
            f"steps {steps}, margin {margin}: expected at least 1 of both; a smaller "
            "margin would have alarms in the steps that it is from"
        )
    watched = WatchedSession(session, {name: detector(name) for name in names})
    state, memory = session.initial_state(), watched.memory()
    largest = dict.fromkeys(names, 0.0)
    for number in range(steps):
        found = watched.step(state, number, memory)
        state, memory = found.result.state, found.memory
        for name, score in found.scores.items():
            if not np.isfinite(score):
                raise InputError(
                    f"step {number} scores {score} by {name} without a fault: the "
                    "training itself is not finite there; calibrate fewer steps"
                )
            largest[name] = max(largest[name], score)
        seen(number)
    thresholds = {
        name: margin * score if score else detector(name).threshold
        for name, score in largest.items()
    }
    program = session.program
    return Calibration(
        *(program.workload.name, session.batches.dataset.name, session.seed),
        *(program.replicas, program.per_replica, steps, margin, largest, thresholds),
    )


def read_calibration(path: str | os.PathLike[str]) -> Calibration:
    """Read what `Calibration.write` wrote.

    Raises:
      InputError: the file cannot be read or is none of these.
    """
    with reading(path, _REMEDY):
        entries = json_object(read_bounded(path, _LARGEST_FILE))
        found = Calibration(**entries)
        for name, threshold in found.thresholds.items():
            if not 0 <= float(threshold) < float("inf"):
                raise ValueError(f"threshold {threshold} of {name}")
        found.detectors()
    return found
