# SPDX-License-Identifier: Apache-2.0
"""Runs the experiments of a campaign of a user's training step."""

import math
import time
from collections.abc import Callable

from tpufi.campaign.engine.unplanned import NOT_ACTIVE
from tpufi.campaign.journal.row import Row
from tpufi.campaign.own_step.golden_steps import point_of
from tpufi.campaign.own_step.loaded import LoadedStep
from tpufi.campaign.own_step.monitors import alarm
from tpufi.campaign.own_step.training_program import metrics_of
from tpufi.campaign.subject import Runner, Subject
from tpufi.experiment.follow import Course
from tpufi.experiment.inject import NotActive
from tpufi.fault import Fault
from tpufi.instrument import Run
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
            golden = self._loaded.golden.points[fault.step :][: len(faulty)]
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
            values=tuple(
                float(alarms.get(monitor.name, math.nan))
                for monitor in self._loaded.monitors
            ),
        )

    def reach(self, number: int) -> int:
        return self._loaded.golden.enter(self._subject.fault(number).step)

    def _filled(self, fault: Fault) -> Fault:
        """Return a fault with its words; those of a stale one are read a step before.

        Raises:
          NotActive: they could not be read.
        """
        if not fault.stale:
            return fault
        before = recording(fault, _ONE_EPOCH)
        self._loaded.golden.enter(before.step)
        run = self._step(before.step, before)
        return holding(fault, run.injections[0].golden.tolist())

    def _step(self, number: int, fault: Fault | None) -> Run:
        """Run a step with a fault, or without.

        Raises:
          NotActive: the fault was not injected exactly once.
        """
        run = self._loaded.step(number, () if fault is None else (fault,))
        self._alive()
        for injection in run.injections:
            if injection.times != 1:
                raise NotActive(
                    f"{fault.site}: injected {injection.times} times in step {number}"
                )
        return run

    def _follow(self, fault: Fault, course: Course, alarms: dict[str, int]) -> None:
        """Train from the fault on until golden again, not finite, or the horizon."""
        loaded, first = self._loaded, fault.step
        loaded.golden.enter(first)
        while not course.ended and len(course.faulty) < self._subject.plan.horizon:
            after = len(course.faulty)
            injected = fault if after < fault.duration else None
            metrics = metrics_of(self._step(first + after, injected).outputs)
            state = loaded.golden.state()
            golden = state == loaded.golden.points[first + after].state
            course.add(point_of(metrics, state), golden, state)
            for monitor in loaded.monitors:
                if monitor.name not in alarms and alarm(monitor, metrics):
                    alarms[monitor.name] = after
            # From an equal state on, every later step is golden's.
            course.ended |= golden and after + 1 >= fault.duration
