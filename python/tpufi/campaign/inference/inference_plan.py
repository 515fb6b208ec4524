# SPDX-License-Identifier: Apache-2.0
"""The plan of an inference campaign: all that determines its experiments."""

import dataclasses
import pathlib

from tpufi.campaign.inference import KIND
from tpufi.campaign.stop_rule import StopRule
from tpufi.errors import InputError
from tpufi.instrument.inference.draw import WEIGHTS
from tpufi.instrument.inference.judge import NAMED
from tpufi.messages import quote

MITIGATIONS = ("ranges", "nan_guard")


@dataclasses.dataclass(frozen=True)
class InferencePlan:
    """What a campaign does. Experiment i is a pure function of the plan and i.

    Args:
      program: folder of a SavedModel, or `file.py:NAME`, a function that makes it.
      inputs: `.npz` file with `x` [items, ...] and, for `only_correct`, `labels`.
      seed: of the campaign, 0 <= seed < 2**64.
      stop: when there are enough experiments.
      batch: items that are run together, >= 1; a last batch that is not full is left
        out.
      sites: patterns of the operation types to arm; empty: all that compute floats.
      weights: `elements` or `sites`, see `tpufi.instrument.inference.draw`.
      measures: `classification`, `regression`, or `file.py:NAME`, a mapping.
      tolerance: of `regression`: the largest change that is no failure, >= 0.
      only_correct: use only items whose top-1 class is the label without a fault.
      mitigation: guards behind every site, among `MITIGATIONS`.
      rounds: faults of each item between two looks at the stop rules, >= 1.
      threads: of TensorFlow's operations; rounding may depend on it.

    Raises:
      InputError: a field is out of range.
    """

    program: str
    inputs: pathlib.Path
    seed: int
    stop: StopRule
    batch: int = 1
    sites: tuple[str, ...] = ()
    weights: str = "elements"
    measures: str = "classification"
    tolerance: float | None = None
    only_correct: bool = False
    mitigation: tuple[str, ...] = ()
    rounds: int = 32
    threads: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 1 << 64:
            raise InputError(f"seed: {self.seed}; expected 0 up to 2**64 - 1")
        for key in ("batch", "rounds", "threads"):
            value = getattr(self, key)
            if not 1 <= value < 1 << 20:
                raise InputError(f"{key}: {value}; expected 1 up to 2**20 - 1")
        if self.weights not in WEIGHTS:
            raise _unknown("weights", self.weights, WEIGHTS)
        for key in self.mitigation:
            if key not in MITIGATIONS:
                raise _unknown("mitigation", key, MITIGATIONS)
        if self.measures not in NAMED and ".py:" not in self.measures:
            raise _unknown("measures", self.measures, (*NAMED, "file.py:NAME"))
        if (self.measures == "regression") != (self.tolerance is not None):
            raise InputError(
                "tolerance: the largest change that is no failure belongs to measures: "
                "regression, and has to be there"
            )

    def identity(self) -> dict[str, object]:
        """Return what determines the rows of the journal, as plain JSON values.

        The stop rule is not part of it. Program and inputs are known by their content:
        the manifest has digests of the golden answers and of the files.
        """
        left_out = ("program", "inputs", "stop")
        fields = dataclasses.asdict(self)
        return {"kind": KIND} | {k: v for k, v in fields.items() if k not in left_out}


def _unknown(key: str, value: str, known: tuple[str, ...]) -> InputError:
    return InputError(f"{key}: {quote(value)}; known: {', '.join(known)}")
