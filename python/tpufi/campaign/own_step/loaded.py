# SPDX-License-Identifier: Apache-2.0
"""A user's training step, loaded: with sites, its golden run, and what looks at it."""

import functools
import hashlib
from collections.abc import Callable, Sequence

from tpufi.campaign.own_step.golden_steps import GoldenSteps
from tpufi.campaign.own_step.monitors import Monitor, alarm, monitors_of
from tpufi.campaign.own_step.step_plan import StepPlan
from tpufi.campaign.own_step.training_program import TrainingProgram
from tpufi.campaign.program_source import program_source
from tpufi.campaign.subject import no_sign
from tpufi.descriptor import CAPACITY
from tpufi.errors import InputError
from tpufi.experiment.inject import broken_in, injections_of
from tpufi.faults.broken_unit import AnyFault, BrokenUnit
from tpufi.instrument import Run, instrument
from tpufi.instrument.controls import Control, Kind, controls_of, kind_of
from tpufi.instrument.program_space import ProgramSpace
from tpufi.instrument.site_fault import Given
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
        self.space = ProgramSpace.of_program(armed, plan.sampling.units)
        source = program_source(self.space, plan.sampling, plan.injections)
        found = [*made.variables(), *armed.program.variables]
        variables = list({id(variable): variable for variable in found}.values())
        self._golden: dict[Kind, GoldenSteps] = {}
        for kind, control in controls_of(source).items():
            step = functools.partial(self.step, faults=control)
            golden = GoldenSteps(step, variables, plan.steps, alive)
            self._check_repeatable(golden, control)
            self._golden[kind] = golden
        self.alarms = [
            sum(alarm(monitor, metrics) for metrics in self.golden.metrics)
            for monitor in self.monitors
        ]

    @property
    def golden(self) -> GoldenSteps:
        """The golden run; of several kinds of faults that of the first."""
        return next(iter(self._golden.values()))

    def golden_of(self, fault: AnyFault) -> GoldenSteps:
        """Return the golden run that a fault is compared with."""
        return self._golden[kind_of(fault)]

    def golden_digest(self) -> str:
        """Return the digest of the golden runs of all kinds, hexadecimal."""
        digests = [golden.digest() for golden in self._golden.values()]
        if len(digests) == 1:
            return digests[0]
        return hashlib.sha256("\n".join(digests).encode()).hexdigest()

    def step(self, number: int, faults: Sequence[Given] = ()) -> Run:
        """Run a step of the armed program.

        All steps are run by it: without a fault it may round otherwise than the
        program as it is, and a difference is to be the fault's doing.

        Args:
          number: of the step, which gives the batch.
          faults: injected into it; a unit, broken or whole, has a program of its own.
        """
        batch = self.program.batch(number)
        return self.fi.noted_run(faults, CAPACITY, *batch, step=number)

    def injections(self, fault: AnyFault, steps: int) -> tuple[int, ...]:
        """Return how often a fault is injected in each step from its first.

        Args:
          fault: the fault.
          steps: how many steps to look at.
        """
        if not isinstance(fault, BrokenUnit):
            return injections_of(fault, self.space.table, 1, fault.step, steps)
        program = self.fi.armed(*self.program.batch(0)).with_unit(fault.fault.unit)
        products = [site.id for site in program.products]
        return broken_in(fault, products, 1, fault.step, steps)

    def data_digest(self) -> str:
        """Return SHA-256 of the batches of all steps."""
        whole = hashlib.sha256()
        for number in range(self._plan.steps):
            for part in self.program.batch(number):
                whole.update(part.tobytes())
        return whole.hexdigest()

    def _check_repeatable(self, golden: GoldenSteps, control: Control) -> None:
        """Refuse a step that gives another state when it is done again.

        Raises:
          InputError: it does.
        """
        first, _ = self._plan.faulty_steps
        golden.enter(first)
        self.step(first, control)
        if golden.state() != golden.points[first].state:
            raise InputError(
                f"{self._plan.program}: step {first} gives another state when it is "
                "done again; make it repeatable from its variables and its batch, e.g. "
                "with stateless random numbers"
            )
        golden.enter(0)
