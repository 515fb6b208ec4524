# SPDX-License-Identifier: Apache-2.0
"""The plan of a campaign of a user's training step."""

import dataclasses
import pathlib

from tpufi.campaign.own_step import KIND
from tpufi.campaign.plan import Plan, check_seed
from tpufi.campaign.plan_keys import cores, read_program_sites, read_weights
from tpufi.campaign.program_source import (
    check_program_sampling,
    fault_entries,
    inject_into_operands,
    read_program_faults,
)
from tpufi.campaign.stop_rule import StopRule
from tpufi.campaign.when_keys import read_range, read_when
from tpufi.errors import InputError
from tpufi.fault import Fault
from tpufi.faults.plan import SamplingPlan
from tpufi.outcomes.outcome_thresholds import (
    DEFAULT_FILE,
    Thresholds,
    read_thresholds,
)
from tpufi.user_file import beside, named_parts
from tpufi.yaml_reader import Node


@dataclasses.dataclass(frozen=True)
class StepPlan(Plan):
    """A campaign of trainings by a step of the user.

    Args:
      program: `file.py:NAME`, a function that makes step, state and data; or a name.
      seed: of the campaign, 0 <= seed < 2**64.
      sampling: what faults are drawn from; all steps are those of epoch 0.
      horizon: steps to follow an experiment, the first faulty one included; >= 1.
      stop: when there are enough experiments.
      thresholds: of the outcome classes.
      ops: patterns of the operation types to arm; empty: all that compute floats.
      monitors: what could notice a fault, as `monitors.monitor_of` reads it.
      threads: of TensorFlow's operations; rounding may depend on it.
      injections: faults of files in place of `sampling`; experiment i has fault i, and
        after the last one the first.

    Raises:
      InputError: a field is out of range, or programs have no such unit.
    """

    program: str
    seed: int
    sampling: SamplingPlan
    horizon: int
    stop: StopRule
    thresholds: Thresholds = dataclasses.field(default_factory=read_thresholds)
    ops: tuple[str, ...] = ()
    monitors: tuple[str, ...] = ()
    threads: int = 1
    injections: tuple[Fault, ...] = ()

    def __post_init__(self) -> None:
        check_seed(self.seed)
        check_program_sampling(self.sampling, self.ops)
        for key in ("horizon", "threads"):
            value = getattr(self, key)
            if not 1 <= value < 1 << 20:
                raise InputError(f"{key}: {value}; expected 1 up to 2**20 - 1")

    @property
    def faulty_steps(self) -> tuple[int, int]:
        """The first and the last step that faults are injected into."""
        if self.injections:
            at = [fault.step for fault in self.injections]
            return min(at), max(at)
        return self.sampling.steps

    @property
    def steps(self) -> int:
        """Steps of the golden run."""
        return self.faulty_steps[1] + self.horizon

    @property
    def operands(self) -> bool:
        """Whether a fault model is injected into what a multiplication reads."""
        return inject_into_operands(self.sampling, self.injections)

    def identity(self) -> dict[str, object]:
        return {
            "kind": KIND,
            "seed": self.seed,
            "horizon": self.horizon,
            "thresholds": dataclasses.asdict(self.thresholds),
            "ops": self.ops,
            "monitors": [pathlib.Path(text).name for text in self.monitors],
            "threads": self.threads,
            **fault_entries(self.sampling, self.injections, self.stop),
        }


def step_plan(root: Node, folder: pathlib.Path) -> StepPlan:
    """Return the plan of a file that has been read.

    Args:
      root: its content.
      folder: what paths in it are relative to.

    Raises:
      InputError: a key or a value is wrong.
    """
    nodes = root.mapping(_TYPES)
    required = _OF_FILES if "injections" in nodes else _REQUIRED
    values = {"threads": cores(), "monitors": ()} | root.read(_TYPES, required)
    values = read_program_faults(
        root,
        values,
        folder,
        _DRAWING,
        steps=values.pop("steps", (0, 0)),
        durations=values.pop("durations", (1, 1)),
        when=values.pop("when", None),
    )
    thresholds = folder / values.get("thresholds", DEFAULT_FILE)
    values["thresholds"] = nodes.get("thresholds", root).placed(
        lambda: read_thresholds(thresholds)
    )
    values["program"] = beside(folder, values["program"])
    values["monitors"] = tuple(
        beside(folder, text) if named_parts(text)[1] else text
        for text in values["monitors"]
    )
    return root.placed(lambda: StepPlan(**values))


_OF_FILES = ("program", "seed", "horizon", "injections")
_REQUIRED = ("program", "seed", "experiments", "steps", "horizon")
_DRAWING = ("faults", "weights", "steps", "durations", "when")
_TYPES = {
    "program": lambda node: node.text("file.py:NAME, a function"),
    "seed": Node.whole,
    "experiments": Node.itself,
    "steps": read_range,
    "horizon": Node.whole,
    "durations": read_range,
    "when": read_when,
    "faults": Node.itself,
    "injections": Node.itself,
    "sites": read_program_sites,
    "weights": read_weights,
    "monitors": Node.texts,
    "thresholds": lambda node: node.text("a TOML file"),
    "threads": Node.whole,
    "stop": Node.itself,
}
