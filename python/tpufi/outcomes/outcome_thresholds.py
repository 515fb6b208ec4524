# SPDX-License-Identifier: Apache-2.0
"""Thresholds of the outcome classes, read strictly from a TOML file."""

import dataclasses
import math
import pathlib
import reprlib

from tpufi._toml import tomllib
from tpufi.errors import InputError
from tpufi.messages import quote, show_path
from tpufi.untrusted import read_bounded, reading

DEFAULT_FILE = pathlib.Path(__file__).with_name("outcome_thresholds.toml")


@dataclasses.dataclass(frozen=True)
class Thresholds:
    """When a difference counts; the default file explains each.

    Args:
      immediate: steps, >= 0.
      sharp: share of golden's accuracy, 0 to 1.
      further: share of the accuracy after a sharp fall, 0 to 1.
      late: share of the horizon, 0 to 1, below 1.
      excess: share of golden's loss, >= 0.
      widths: standard deviations, >= 0.
      test_drop: difference of accuracies, 0 to 1.
    """

    immediate: int
    sharp: float
    further: float
    late: float
    excess: float
    widths: float
    test_drop: float

    def __str__(self) -> str:
        pairs = dataclasses.asdict(self).items()
        return ", ".join(f"{key} {value:g}" for key, value in pairs)


_LONGEST = 1 << 14  # Bytes; the time that dotted keys take grows with their square.
_END = float(1 << 63)  # No threshold is as large.

# The largest value of each threshold; the smallest is 0. `late` leaves a step over.
_LARGEST = {
    "immediate": math.inf,
    "sharp": 1,
    "further": 1,
    "late": 0.99,
    "excess": math.inf,
    "widths": math.inf,
    "test_drop": 1,
}


def read_thresholds(path: str | pathlib.Path = DEFAULT_FILE) -> Thresholds:
    """Read thresholds; every one has to be there.

    Args:
      path: TOML file; default: the thresholds of tpufi.

    Raises:
      InputError: the file cannot be read, is not TOML, or a threshold is unknown,
        missing, no number or out of range.

    Example:
      >>> read_thresholds().immediate
      1
    """
    shown = show_path(pathlib.Path(path))
    known = f"expected the keys {', '.join(_LARGEST)}"
    remedy = f"{known}; start from a copy of outcome_thresholds.toml"
    with reading(shown, remedy, "cannot read thresholds"):
        entries = tomllib.loads(read_bounded(path, _LONGEST).decode())
        if unknown := entries.keys() - _LARGEST.keys():
            key = quote(min(unknown))
            raise InputError(f"{shown}: unknown key {key}; {known}; remove it")
        if missing := _LARGEST.keys() - entries.keys():
            raise InputError(f"{shown}: {min(missing)} is missing; {known}; add it")
        for key, value in entries.items():
            _check(shown, key, value)
        return Thresholds(**entries)


def _check(shown: str, key: str, value: object) -> None:
    kinds = (int,) if key == "immediate" else (int, float)
    largest = _LARGEST[key]
    # A bool is an int to Python, and not a number is below no bound.
    fits = type(value) in kinds and 0 <= value <= largest and value < _END
    if not fits:
        kind = "an integer" if key == "immediate" else "a number"
        bound = (
            f"from 0 to {largest}"
            if math.isfinite(largest)
            else "of at least 0, below 2**63"
        )
        found = reprlib.repr(value)
        raise InputError(f"{shown}: {key} is {found}; expected {kind} {bound}")
