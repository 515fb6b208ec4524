# SPDX-License-Identifier: Apache-2.0
"""What a replay is judged by: golden runs over its steps, and test accuracies."""

import dataclasses
import pathlib
from collections.abc import Callable, Sequence

from tpufi.errors import InputError
from tpufi.golden import GoldenFolder
from tpufi.outcomes.outcome import Point
from tpufi.outcomes.outcome_thresholds import Thresholds
from tpufi.training import Session


@dataclasses.dataclass(frozen=True)
class Judge:
    """How a replay is judged.

    Args:
      limits: thresholds.
      others: returns the folders of golden runs with other seeds, which with the golden
        run itself are the band. It is called only if the run with the fault stays
        finite, and may train the golden runs as far as that one went.
      validate: compare the accuracy on the test images after the last step. The golden
        runs need a checkpoint there.
    """

    limits: Thresholds
    others: Callable[[], Sequence[pathlib.Path]] = tuple
    validate: bool = False


def points(
    folder: GoldenFolder, curve: dict[int, dict], steps: range
) -> tuple[Point, ...]:
    """Return those of the steps that a golden run has, which is at least one.

    Raises:
      InputError: the run has none of them.
    """
    found = [curve[number] for number in steps if number in curve]
    if not found:
        raise InputError(
            f"{folder.path}: the golden run has no step from {steps.start} to "
            f"{steps.stop - 1}; train it on with tpufi golden --steps {steps.stop}"
        )
    return tuple(Point(e["loss"], e["accuracy"], e["state"]) for e in found)


def other_points(
    folders: Sequence[pathlib.Path], workload: str, steps: range
) -> tuple[tuple[Point, ...], ...]:
    """Return the steps of the golden runs with other seeds.

    Raises:
      InputError: one is of another workload, or does not have every step.
    """
    result = []
    for path in folders:
        folder = GoldenFolder(path)
        config, _ = folder.read_manifest()
        if config.workload != workload:
            raise InputError(
                f"{path}: a golden run of {config.workload}; the band needs runs of "
                f"{workload}"
            )
        found = points(folder, folder.curve(), steps)
        if len(found) < len(steps):
            raise InputError(
                f"{path}: the golden run has {len(found)} of the steps {steps.start} "
                f"to {steps.stop - 1}; train it on with tpufi golden --steps "
                f"{steps.stop}"
            )
        result.append(found)
    return tuple(result)


def golden_accuracy(folder: GoldenFolder, session: Session, steps: int) -> float:
    """Return the accuracy on the test images of a golden run after `steps` steps.

    Args:
      folder: the golden run.
      session: a session of the same workload; the seed has no influence.
      steps: steps since the start of training.

    Raises:
      InputError: there is no checkpoint after so many steps.
    """
    if steps not in folder.checkpoints():
        raise InputError(
            f"{folder.path}: no checkpoint after {steps} steps to validate; choose a "
            "horizon that ends where the golden run does"
        )
    state = folder.load(session.program.workload, steps)
    return session.evaluate(state)[1]
