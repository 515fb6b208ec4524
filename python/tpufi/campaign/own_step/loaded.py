# SPDX-License-Identifier: Apache-2.0
"""A user's training step, loaded: with sites, its golden run, and what looks at it."""

import hashlib
from collections.abc import Callable, Sequence

from tpufi.campaign.own_step.golden_steps import GoldenSteps
from tpufi.campaign.own_step.monitors import Monitor, alarm, monitors_of
from tpufi.campaign.own_step.step_plan import StepPlan
from tpufi.campaign.own_step.training_program import TrainingProgram
from tpufi.campaign.subject import no_sign
from tpufi.descriptor import CAPACITY
from tpufi.errors import InputError
from tpufi.fault import Fault
from tpufi.instrument import Run, instrument
from tpufi.instrument.program_space import ProgramSpace
from tpufi.user_file import made_by


class LoadedStep:
    """The program of a plan after its golden run.

    Args:
      plan: the plan.
      program: step, state and data; None: what the plan's file makes.
      monitors: None: those of the plan.
      alive: called while it works.

    Attributes:
      program: step, state and data.
      fi: the step with sites.
      golden: the golden run.
      space: where faults can be injected.
      monitors: what could notice a fault.
      alarms: steps of the golden run with an alarm, for each monitor.

    Raises:
      InputError: a file of the plan is wrong, or the step is not repeatable.
    """

    def __init__(
        self,
        plan: StepPlan,
        program: TrainingProgram | None = None,
        monitors: Sequence[Monitor] | None = None,
        alive: Callable[[], None] = no_sign,
    ):
        self._plan = plan
        made = program or TrainingProgram.of(made_by(plan.program))
        self.program = made
        self.monitors = monitors_of(plan.monitors) if monitors is None else monitors
        self.fi = instrument(made.step, sites=plan.ops or None, operands=plan.operands)
        armed = self.fi.armed(*made.batch(0))
        self.space = ProgramSpace.of_sites(armed.sites)
        found = [*made.variables(), *armed.program.variables]
        variables = list({id(variable): variable for variable in found}.values())
        self.golden = GoldenSteps(self.step, variables, plan.steps, alive)
        self._check_repeatable()
        self.alarms = [
            sum(alarm(monitor, metrics) for metrics in self.golden.metrics)
            for monitor in self.monitors
        ]

    def step(self, number: int, faults: Sequence[Fault] = ()) -> Run:
        """Run a step of the armed program.

        All steps are run by it: without a fault it may round otherwise than the
        program as it is, and a difference is to be the fault's doing.

        Args:
          number: of the step, which gives the batch.
          faults: injected into it.
        """
        return self.fi.noted_run(faults, CAPACITY, *self.program.batch(number))

    def data_digest(self) -> str:
        """Return SHA-256 of the batches of all steps."""
        whole = hashlib.sha256()
        for number in range(self._plan.steps):
            for part in self.program.batch(number):
                whole.update(part.tobytes())
        return whole.hexdigest()

    def _check_repeatable(self) -> None:
        """Refuse a step that gives another state when it is done again.

        Raises:
          InputError: it does.
        """
        first, _ = self._plan.faulty_steps
        self.golden.enter(first)
        self.step(first)
        if self.golden.state() != self.golden.points[first].state:
            raise InputError(
                f"{self._plan.program}: step {first} gives another state when it is "
                "done again; make it repeatable from its variables and its batch, e.g. "
                "with stateless random numbers"
            )
        self.golden.enter(0)
