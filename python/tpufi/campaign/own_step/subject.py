# SPDX-License-Identifier: Apache-2.0
"""A user's training step as the subject of a campaign."""

import dataclasses
import functools
from collections.abc import Callable

from tpufi.campaign.journal.answers import ALARM
from tpufi.campaign.journal.manifest import Manifest
from tpufi.campaign.own_step.loaded import LoadedStep
from tpufi.campaign.own_step.runner import StepRunner
from tpufi.campaign.own_step.step_plan import StepPlan
from tpufi.campaign.present_manifest import present_manifest
from tpufi.campaign.program_inputs import set_up
from tpufi.campaign.program_source import program_source
from tpufi.campaign.subject import Subject, no_sign
from tpufi.errors import InputError
from tpufi.faults.sampler import FaultSource
from tpufi.faults.unit_model import Addresses
from tpufi.instrument.graph_site import GraphSite
from tpufi.instrument.program_space import ProgramSpace
from tpufi.own_process import in_own_process
from tpufi.user_file import users_code


@dataclasses.dataclass(frozen=True)
class StepSubject(Subject):
    """Step, state and data of a plan, seen from outside.

    Args:
      plan: the plan.
      sites: those that faults can be injected into.
      addresses: of the units that can be drawn; None: none can.
      golden: digest of the golden run.
      data: digest of the batches.
      monitors: names of the monitors.
      alarms: steps of the golden run with an alarm, for each monitor.
    """

    plan: StepPlan
    sites: tuple[GraphSite, ...]
    addresses: Addresses | None
    golden: str
    data: str
    monitors: tuple[str, ...]
    alarms: tuple[int, ...]

    @classmethod
    def of(cls, plan: StepPlan) -> "StepSubject":
        """Return the subject of a plan, looked at in a separate process.

        Raises:
          InputError: a file of the plan is wrong, or the step is not repeatable.
        """
        return in_own_process("makes the golden run", _looked_at, plan)

    @classmethod
    def of_loaded(cls, plan: StepPlan, loaded: LoadedStep) -> "StepSubject":
        """Return the subject of a program that is loaded."""
        return cls(
            plan,
            tuple(loaded.space.graph.values()),
            loaded.space.addresses,
            loaded.golden_digest(),
            loaded.data_digest(),
            tuple(monitor.name for monitor in loaded.monitors),
            tuple(loaded.alarms),
        )

    @property
    def title(self) -> str:
        return f"training of {self.plan.steps} steps"

    @property
    def origin(self) -> object:
        return self.plan.program

    @property
    def measures(self) -> tuple[tuple[str, bool], ...]:
        return tuple((ALARM + name, False) for name in self.monitors)

    @functools.cached_property
    def source(self) -> FaultSource:
        plan = self.plan
        space = ProgramSpace.of_sites(self.sites, addresses=self.addresses)
        return program_source(space, plan.sampling, plan.injections)

    @property
    def golden_steps(self) -> int:
        first, last = self.plan.faulty_steps
        return last - first + 1

    def open(self, alive: Callable[[], None] = no_sign) -> StepRunner:
        set_up(self.plan.threads)
        return self.opened(LoadedStep(self.plan, alive=alive), alive)

    def opened(
        self, loaded: LoadedStep, alive: Callable[[], None] = no_sign
    ) -> StepRunner:
        """Return the runner of a program that is loaded.

        Raises:
          InputError: its golden run is another one.
        """
        if loaded.golden_digest() != self.golden:
            raise InputError(
                "the golden runs of two processes differ: the step is not "
                "deterministic, or a file of the plan was changed; see to it"
            )
        return StepRunner(self, loaded, alive)

    def manifest(self) -> Manifest:
        more = {
            "sites": [[s.name, s.layer, s.direction, s.operand, s.op, s.dtype, s.size]
                      for s in self.sites],
            "steps": self.plan.steps,
            "golden alarms": dict(zip(self.monitors, self.alarms, strict=True)),
        }  # fmt: skip
        return present_manifest(self.plan, self.source, self.golden, self.data, more)

    def noted(self) -> dict[str, object]:
        return {"program": self.plan.program}


def _looked_at(plan: StepPlan) -> StepSubject:
    set_up(plan.threads)
    with users_code(plan.program):
        return StepSubject.of_loaded(plan, LoadedStep(plan))
