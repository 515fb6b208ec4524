# SPDX-License-Identifier: Apache-2.0
"""Runs the experiments of a campaign of a user's training step."""

import dataclasses
import math
import time
from collections.abc import Callable

import numpy as np

from tpufi.campaign.engine.unplanned import NOT_ACTIVE
from tpufi.campaign.journal.row import Row
from tpufi.campaign.own_step.golden_steps import point_of
from tpufi.campaign.own_step.loaded import LoadedStep
from tpufi.campaign.own_step.monitors import alarm
from tpufi.campaign.own_step.training_program import metrics_of
from tpufi.campaign.subject import Runner, Subject
from tpufi.experiment.follow import Course
from tpufi.experiment.inject import NotActive, check_injected
from tpufi.faults.broken_unit import AnyFault, BrokenUnit
from tpufi.instrument import InjectionRecord, Run, UnitRecord
from tpufi.instrument.site_fault import Given
from tpufi.outcomes.detection import detection_step
from tpufi.outcomes.outcome import classify
from tpufi.stale import holding, recording

_ONE_EPOCH = 1 << 31  # Steps are counted on: epoch 0 has all of them.


class StepRunner(Runner):
    """Forks each experiment from the golden run and follows it beside that.

    Args:
      subject: with the plan.
      loaded: the program after its golden run.
      alive: called after every step.
    """

    def __init__(self, subject: Subject, loaded: LoadedStep, alive: Callable[[], None]):
        self._subject, self._loaded, self._alive = subject, loaded, alive

    def run(self, number: int, attempt: int = 1) -> Row:
        begun = time.monotonic()
        fault, plan = self._subject.fault(number), self._subject.plan
        course, alarms, error = Course(), {}, None
        try:
            self._follow(self._filled(fault), course, alarms)
        except NotActive as problem:
            error = str(problem)
        faulty = course.faulty
        outcome, visible = NOT_ACTIVE, None
        if error is None:
            golden = self._loaded.golden_of(fault).points[fault.step :][: len(faulty)]
            visible = detection_step(faulty, golden, plan.thresholds)
            outcome = classify(
                faulty, golden, plan.thresholds, ended_early=not course.is_finite
            )
        return Row(
            number,
            self._subject.columns(number),
            outcome,
            len(faulty),
            course.diverged,
            course.reconverged,
            course.nonfinite,
            visible,
            faulty[-1].state if faulty else None,
            tuple((point.loss, point.accuracy) for point in faulty),
            None,
            time.monotonic() - begun,
            attempt,
            error,
            course.injected_steps,
            values=tuple(
                float(alarms.get(monitor.name, math.nan))
                for monitor in self._loaded.monitors
            ),
        )

    def reach(self, number: int) -> int:
        fault = self._subject.fault(number)
        return self._loaded.golden_of(fault).enter(fault.step)

    def _filled(self, fault: AnyFault) -> AnyFault:
        """Return a fault with its words; those of a stale one are read a step before.

        Raises:
          NotActive: they could not be read.
        """
        if not fault.stale:
            return fault
        before = recording(fault, _ONE_EPOCH)
        self._loaded.golden_of(before).enter(before.step)
        run = self._step(before.step, before)
        return holding(fault, run.injections[0].golden.tolist())

    def _step(self, number: int, fault: AnyFault, times: int = 1) -> Run:
        """Run a step with a fault, or without.

        Args:
          number: of the step.
          fault: the fault.
          times: how often it is injected into this step, 0 or 1.

        Raises:
          NotActive: it was injected otherwise, though it does not depend on values.
        """
        run = self._loaded.step(number, _of_step(fault, times))
        self._alive()
        for injection in run.injections:
            if isinstance(injection, UnitRecord):
                passed = injection.passed, injection.changed
                check_injected(fault, np.array(passed), times)
            elif injection.times != 1 and not any(fault.trigger):
                raise NotActive(
                    f"{fault.site}: injected {injection.times} times in step {number}"
                )
        return run

    def _follow(self, fault: AnyFault, course: Course, alarms: dict[str, int]) -> None:
        """Train from the fault on until golden for good, not finite, or the horizon."""
        loaded, first = self._loaded, fault.step
        horizon, control = self._subject.plan.horizon, loaded.golden_of(fault)
        times = loaded.injections(fault, horizon)
        over = len(times) - next((i for i, n in enumerate(times[::-1]) if n), horizon)
        control.enter(first)
        while not course.ended and len(course.faulty) < horizon:
            after = len(course.faulty)
            run = self._step(first + after, fault, times[after])
            course.injected_steps += any(map(_is_injected, run.injections))
            metrics = metrics_of(run.outputs)
            state = control.state()
            golden = state == control.points[first + after].state
            for_good = fault.when is None or after + 1 >= over
            course.add(point_of(metrics, state), golden, state, for_good)
            for monitor in loaded.monitors:
                if monitor.name not in alarms and alarm(monitor, metrics):
                    alarms[monitor.name] = after
            # From an equal state on, every later step is golden's.
            course.ended |= golden and after + 1 >= over


def _of_step(fault: AnyFault, times: int) -> tuple[Given, ...]:
    """Return what a step is given of a fault that is injected into it so often.

    A unit is given to all steps: their numbers tell in which of them it is broken.
    """
    if isinstance(fault, BrokenUnit):
        return (dataclasses.replace(fault.fault, first=fault.step),)
    if not times:
        return ()
    if fault.when is None:
        return (fault,)
    return (dataclasses.replace(fault, duration=1, when=fault.when.of_values),)


def _is_injected(injection: InjectionRecord | UnitRecord) -> bool:
    if isinstance(injection, UnitRecord):
        return injection.passed > 0
    return injection.times > 0
