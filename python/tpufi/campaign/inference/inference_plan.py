# SPDX-License-Identifier: Apache-2.0
"""The plan of an inference campaign: all that determines its experiments."""

import dataclasses
import pathlib

from tpufi.campaign.inference import KIND
from tpufi.campaign.plan import Plan, check_seed
from tpufi.campaign.plan_keys import (
    cores,
    read_program_sites,
    read_weights,
)
from tpufi.campaign.program_source import (
    check_program_sampling,
    fault_entries,
    inject_into_operands,
    read_program_faults,
)
from tpufi.campaign.stop_rule import StopRule
from tpufi.errors import InputError
from tpufi.fault import Fault
from tpufi.faults.plan import SamplingPlan
from tpufi.faults.program_units import check_of_call
from tpufi.messages import quote
from tpufi.user_file import beside, named_parts
from tpufi.yaml_reader import Node

MITIGATIONS = ("ranges", "nan_guard")
# Of instrument.inference.judge, which imports TensorFlow; a test compares.
NAMED = ("classification", "regression")


@dataclasses.dataclass(frozen=True)
class InferencePlan(Plan):
    """A campaign of inferences.

    Args:
      program: folder of a SavedModel, or `file.py:NAME`, a function that makes it.
      inputs: `.npz` file with `x` [items, ...] and, for `only_correct`, `labels`.
      seed: of the campaign, 0 <= seed < 2**64.
      sampling: what faults are drawn from; an inference has one moment.
      stop: when there are enough experiments.
      batch: items that are run together, >= 1; a last batch that is not full is left
        out.
      ops: patterns of the operation types to arm; empty: all that compute floats.
      measures: `classification`, `regression`, or `file.py:NAME`, a mapping.
      tolerance: of `regression`: the largest change that is no failure, >= 0.
      only_correct: use only items whose top-1 class is the label without a fault.
      mitigation: guards behind every site, among `MITIGATIONS`.
      rounds: faults of each item between two looks at the stop rules, >= 1.
      threads: of TensorFlow's operations; rounding may depend on it.
      injections: faults of files in place of `sampling`; experiment i has the first
        input's fault i, and after the last one the first.

    Raises:
      InputError: a field is out of range, or programs have no such unit or moment.
    """

    program: str
    inputs: pathlib.Path
    seed: int
    sampling: SamplingPlan
    stop: StopRule
    batch: int = 1
    ops: tuple[str, ...] = ()
    measures: str = "classification"
    tolerance: float | None = None
    only_correct: bool = False
    mitigation: tuple[str, ...] = ()
    rounds: int = 32
    threads: int = 1
    injections: tuple[Fault, ...] = ()

    def __post_init__(self) -> None:
        check_seed(self.seed)
        check_program_sampling(self.sampling, self.ops)
        check_of_call(self.sampling)
        for key in ("batch", "rounds", "threads"):
            value = getattr(self, key)
            if not 1 <= value < 1 << 20:
                raise InputError(f"{key}: {value}; expected 1 up to 2**20 - 1")
        for key in self.mitigation:
            if key not in MITIGATIONS:
                known = ", ".join(MITIGATIONS)
                raise InputError(f"mitigation: {quote(key)}; known: {known}")
        if self.measures not in NAMED and not named_parts(self.measures)[1]:
            known = ", ".join((*NAMED, "file.py:NAME"))
            raise InputError(f"measures: {quote(self.measures)}; known: {known}")
        if self.injections and self.batch != 1:
            raise InputError(
                f"batch: {self.batch}; an injection file has a whole tensor, so one "
                "input is run at a time; write batch: 1"
            )
        for fault in self.injections:
            if fault.when is not None:
                raise InputError(
                    f"injections: the fault {fault.model} at {fault.site} says when it "
                    "is injected, and an inference has one moment; leave the row out"
                )
        if (self.measures == "regression") != (self.tolerance is not None):
            raise InputError(
                "tolerance: the largest change that is no failure belongs to measures: "
                "regression, and has to be there"
            )

    @property
    def operands(self) -> bool:
        """Whether a fault model is injected into what a multiplication reads."""
        return inject_into_operands(self.sampling, self.injections)

    def identity(self) -> dict[str, object]:
        # Program and inputs are known by the golden answers and digests of the files.
        left_out = ("program", "inputs", "stop", "sampling", "injections")
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name not in left_out
        } | {
            "kind": KIND,
            "measures": pathlib.Path(self.measures).name,
            **fault_entries(self.sampling, self.injections, self.stop),
        }


def inference_plan(root: Node, folder: pathlib.Path) -> InferencePlan:
    """Return the plan of a file that has been read.

    Args:
      root: its content.
      folder: what paths in it are relative to.

    Raises:
      InputError: a key or a value is wrong.
    """
    from_files = "injections" in root.mapping(_TYPES)
    required = tuple(k for k in _REQUIRED if k != "experiments" or not from_files)
    values = {"threads": cores()} | root.read(_TYPES, required)
    values = read_program_faults(root, values, folder, _DRAWING)
    values["inputs"] = folder / values["inputs"]
    for key in ("program", "measures"):
        if key in values and (key == "program" or ".py:" in values[key]):
            values[key] = beside(folder, values[key])
    return root.placed(lambda: InferencePlan(**values))


_DRAWING = ("faults", "weights")
_REQUIRED = ("program", "inputs", "seed", "experiments")
_TYPES = {
    "program": Node.text,
    "inputs": lambda node: node.text("an .npz file"),
    "seed": Node.whole,
    "experiments": Node.itself,
    "faults": Node.itself,
    "injections": Node.itself,
    "batch": Node.whole,
    "sites": read_program_sites,
    "weights": read_weights,
    "measures": Node.text,
    "tolerance": lambda node: float(node.number()),
    "only_correct": Node.switch,
    "mitigation": Node.texts,
    "rounds": Node.whole,
    "threads": Node.whole,
    "stop": Node.itself,
}
