# SPDX-License-Identifier: Apache-2.0
"""The measurements of one case, as a JSON file that a later call reads again.

They are curves, and what the fault left in the state of training, compared with the
golden state.
"""

import dataclasses
import json
import math
import pathlib

import numpy as np

from tpufi.errors import InputError
from tpufi.io import atomic_write
from tpufi.outcomes.outcome import Point, Validation, classify
from tpufi.outcomes.outcome_thresholds import Thresholds
from tpufi.training import State
from tpufi.training.state import to_arrays


@dataclasses.dataclass(frozen=True)
class Quantity:
    """One kind of tensor of a state, such as all second moments.

    Args:
      golden: largest absolute value in the golden state.
      faulty: largest absolute finite value in the state after the fault.
      difference: largest absolute finite difference of the two.
      tensor: the tensor with that difference, or with the most non-finite elements.
      changed: elements that differ in their bits.
      not_finite: elements that are infinite or no number after the fault.
    """

    golden: float
    faulty: float
    difference: float
    tensor: str
    changed: int
    not_finite: int


def compare_states(golden: State, faulty: State) -> dict[str, Quantity]:
    """Return the quantities by kind: `weights`, or the last part of a tensor's name.

    Args:
      golden: state after a step without the fault.
      faulty: state after the same step with it.
    """
    right, wrong = to_arrays(golden), to_arrays(faulty)
    kinds: dict[str, list[str]] = {}
    for name in right:
        if name == "updates":
            continue
        weights = name.startswith("parameters/")
        kinds.setdefault("weights" if weights else name.rsplit("/", 1)[1], []).append(
            name
        )
    return {
        kind: _quantity({n: (right[n], wrong[n]) for n in names})
        for kind, names in kinds.items()
    }


def _quantity(pairs: dict[str, tuple[np.ndarray, np.ndarray]]) -> Quantity:
    largest_golden = largest_faulty = largest = 0.0
    changed = not_finite = most = 0
    where = ""
    for name, (golden, faulty) in pairs.items():
        finite = np.isfinite(faulty)
        # In float64 the difference of two float32 numbers cannot overflow.
        apart = np.abs(
            faulty[finite].astype(np.float64) - golden[finite].astype(np.float64)
        )
        difference = float(apart.max(initial=0))
        missing = int(faulty.size - finite.sum())
        if (missing, difference) > (most, largest):
            where, most = name.split("/", 1)[1], missing
        largest = max(largest, difference)
        largest_golden = max(largest_golden, float(np.abs(golden).max(initial=0)))
        largest_faulty = max(
            largest_faulty, float(np.abs(faulty[finite]).max(initial=0))
        )
        bits = f"u{golden.dtype.itemsize}"
        changed += int((golden.view(bits) != faulty.view(bits)).sum())
        not_finite += missing
    return Quantity(largest_golden, largest_faulty, largest, where, changed, not_finite)


@dataclasses.dataclass(frozen=True)
class Measured:
    """What the runs of one case showed; the outcome follows from it.

    Args:
      made_of: all that determines the measurements: plan, data, injection, versions.
      first: number of the faulty step.
      faulty: the steps with the fault.
      golden: the golden run's.
      others: those of the other golden runs; none yet, or none because a loss was not
        finite and there is nothing to compare.
      ended_early: a training or validation loss was not finite.
      validation: test accuracies after the last step, with as many golden ones as there
        are golden runs; None if it ended early.
      state: what the fault left in the state right after the faulty step, by kind.
      injected: bits of the faulty elements before and after, in hexadecimal.
    """

    made_of: dict[str, object]
    first: int
    faulty: tuple[Point, ...]
    golden: tuple[Point, ...]
    others: tuple[tuple[Point, ...], ...]
    ended_early: bool
    validation: Validation | None
    state: dict[str, Quantity]
    injected: tuple[tuple[str, str], ...]

    def outcome(self, limits: Thresholds) -> str:
        """Return the outcome class."""
        return classify(
            self.faulty,
            self.golden,
            limits,
            others=self.others,
            validation=self.validation,
            ended_early=self.ended_early,
        )


def write_measured(measured: Measured, path: pathlib.Path) -> None:
    """Write the file; it appears whole."""
    entries = _plain(dataclasses.asdict(measured))
    text = json.dumps(entries, indent=1, allow_nan=False)
    with atomic_write(path) as scratch:
        scratch.write_text(text + "\n")


def read_measured(path: pathlib.Path) -> Measured:
    """Read a file that `write_measured` wrote.

    Raises:
      InputError: the file is damaged.
    """
    try:
        entries = json.loads(path.read_text())
        validation = entries["validation"]
        if validation is not None:
            validation = Validation(validation["faulty"], tuple(validation["golden"]))
        return Measured(
            **{
                **entries,
                "faulty": _points(entries["faulty"]),
                "golden": _points(entries["golden"]),
                "others": tuple(map(_points, entries["others"])),
                "validation": validation,
                "state": {
                    kind: Quantity(**quantity)
                    for kind, quantity in entries["state"].items()
                },
                "injected": tuple(map(tuple, entries["injected"])),
            }
        )
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: damaged result ({error}); delete it: the next call measures again"
        ) from None


def _points(entries: list[dict]) -> tuple[Point, ...]:
    return tuple(
        Point(float(e["loss"]), float(e["accuracy"]), e["state"]) for e in entries
    )


def _plain(value: object) -> object:
    """JSON has no NaN and no infinity; they are written as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    return value
