# SPDX-License-Identifier: Apache-2.0
"""Which runs the reproduction makes of each published injection.

The files inject a fault after hundreds of steps of 8 x 128 images, too many for a CPU.
So a cheap run, the approach, trains each workload for a while. Its state then counts as
the one shortly before the published step: learning rate and optimiser go by that
number. From there on everything has the published size.
"""

import dataclasses
import pathlib

from tpufi.errors import InputError
from tpufi.faults.csv import read_injection
from tpufi.faults.injection import Injection
from tpufi.models import workload
from tpufi.outcomes.outcome import (
    IMMEDIATE,
    LOW_TEST_ACCURACY,
    MASKED,
    SHARP_DEGRADE,
    SHARP_SLOW_DEGRADE,
    SHORT_TERM,
    SLOW_DEGRADE,
)

# Cheapest first; any other comes behind them.
_ORDER = ("resnet18", "resnet18_sgd", "resnet18_nobn", "effnet", "densenet")

# The part of a file's name after `inj_`: what its authors observed.
EXPECTED = {
    "immediate_infs_nans": IMMEDIATE,
    "short_term_infs_nans": SHORT_TERM,
    "masked": MASKED,
    "slow_degrade": SLOW_DEGRADE,
    "sharp_slow_degrade": SHARP_SLOW_DEGRADE,
    "sharp_degrade": SHARP_DEGRADE,
    "low_test_accuracy": LOW_TEST_ACCURACY,
}


@dataclasses.dataclass(frozen=True)
class Plan:
    """The scale of the reproduction.

    Args:
      approach_steps: steps of the approach.
      approach_images: images of its one replica in a step.
      warm: golden steps of the published size before the faulty one.
      horizon: steps to follow, the faulty one included.
      seed: seed of all runs but the others.
      other_seeds: seeds of the other golden runs of the band, from the faulty step on.
      steps_per_epoch: steps of an epoch, as in the artefact.
      replicas: data-parallel replicas, as in the artefact.
      per_replica: images of each, as in the artefact.
    """

    approach_steps: int = 3000
    approach_images: int = 64
    warm: int = 2
    horizon: int = 16
    seed: int = 123
    other_seeds: tuple[int, ...] = (124, 125)
    steps_per_epoch: int = 49
    replicas: int = 8
    per_replica: int = 128


# These learn within a hundred steps what a fault can destroy.
_QUICK = Plan(approach_steps=100, warm=1, horizon=6)
_PLANS = dict.fromkeys(("resnet18", "resnet18_sgd"), _QUICK)


def plan_of(name: str, **scale: int | None) -> Plan:
    """Return the scale of a workload.

    As long as the golden run is near chance there is nothing that a fault could make
    worse, so a workload that learns slowly has a longer approach and horizon.

    Args:
      name: the workload.
      **scale: fields of `Plan` to set instead; None: as they are.
    """
    given = {key: value for key, value in scale.items() if value is not None}
    return dataclasses.replace(_PLANS.get(name, Plan()), **given)


@dataclasses.dataclass(frozen=True)
class Case:
    """One published injection.

    Args:
      file: the injection file.
      injection: its content.
      expected: the outcome that its name promises.
    """

    file: pathlib.Path
    injection: Injection
    expected: str

    @property
    def label(self) -> str:
        """`workload/file`, without the ending."""
        return f"{self.file.parent.name}/{self.file.stem}"

    def agrees(self, outcome: str) -> bool:
        """Tell whether an outcome is the expected one; masked has two forms."""
        return outcome.startswith(self.expected)


def cases(folder: pathlib.Path, per_replica: int) -> tuple[Case, ...]:
    """Return all injections below a folder, cheapest workload first.

    Args:
      folder: holds a folder of files for each workload.
      per_replica: images of a replica, which bound the positions.

    Raises:
      InputError: there is none, a file is wrong, or its name promises no outcome.
    """
    found = []
    for file in sorted(folder.glob("*/*.csv")):
        promise = file.stem.removeprefix("inj_")
        if promise not in EXPECTED:
            raise InputError(
                f"{file}: the name promises no known outcome; expected inj_ and one of "
                f"{', '.join(EXPECTED)}; rename the file"
            )
        injection = read_injection(file, lambda name: workload(name).sites(per_replica))
        found.append(Case(file, injection, EXPECTED[promise]))
    if not found:
        raise InputError(
            f"{folder}: no injection files; expected WORKLOAD/inj_OUTCOME.csv; restore "
            "them from the repository"
        )

    def cost(case: Case) -> int:
        name = case.injection.model
        return _ORDER.index(name) if name in _ORDER else len(_ORDER)

    return tuple(sorted(found, key=cost))


def chosen(all_cases: tuple[Case, ...], only: list[str]) -> tuple[Case, ...]:
    """Return the cases called `workload/file` or of a `workload`; all for no names.

    Raises:
      InputError: a name fits none.
    """
    for name in only:
        if not any(name in (c.label, c.injection.model) for c in all_cases):
            raise InputError(
                f"{name!r} is no published injection; known: "
                f"{', '.join(c.label for c in all_cases)}"
            )
    return tuple(
        c for c in all_cases if not only or c.label in only or c.injection.model in only
    )
