# SPDX-License-Identifier: Apache-2.0
"""The experiments of a campaign: each becomes a row of the journal."""

import time
from collections.abc import Callable

from tpufi.campaign.engine.unplanned import NOT_ACTIVE
from tpufi.campaign.journal.row import FaultColumns, Row
from tpufi.campaign.plan import CampaignPlan
from tpufi.campaign.subject import Runner, no_sign
from tpufi.campaign.workload.golden_scores import GoldenScores
from tpufi.campaign.workload.recovered import NOT_DONE, RecoveredRuns
from tpufi.campaign.workload.scored_steps import ScoredSteps
from tpufi.experiment.follow import Course, Follower
from tpufi.experiment.fork import GoldenWalk
from tpufi.experiment.inject import NotActive
from tpufi.experiment.judge import points
from tpufi.experiment.validation import Validator
from tpufi.faults.broken_unit import AnyFault
from tpufi.golden import GoldenFolder
from tpufi.outcomes.detection import detection_step
from tpufi.outcomes.outcome import Point, classify
from tpufi.training import Session
from tpufi.training.blocks import Blocks


class Experimenter(Runner):
    """Runs the experiments of a plan, each a pure function of its number.

    Args:
      plan: the plan.
      session: a session of its golden run.
      verify: refuse golden states that differ from the golden run's.
      alive: called after every step, so that a hanging worker can be told.
      golden: of a plan with detectors: what these made of its golden run.
    """

    def __init__(
        self,
        plan: CampaignPlan,
        session: Session,
        verify: bool = True,
        alive: Callable[[], None] = no_sign,
        golden: GoldenScores | None = None,
    ):
        self.plan = plan
        self.session = session
        self.alive = alive
        blocks = Blocks(session) if Blocks.serve(session) else None
        self._scored = None
        if golden is not None:
            self._scored = ScoredSteps(session, plan.watching(), golden)
        folder = GoldenFolder(plan.golden)
        self.walk = GoldenWalk(folder, session, verify, alive, blocks)
        validator = None
        if plan.validation:
            validator = Validator(plan.golden, plan.band, session, verify, alive)
        self._sampler = plan.sampler(session.program.per_replica)
        self.rows = self._sampler.rows
        self.units = self._sampler.units()
        self.follower = Follower(
            *(session, self.walk, validator, plan.propagation),
            *(None if self._scored else blocks, self.rows, alive),
            step=self._scored.step if self._scored else None,
        )
        self.control = self.follower.control
        self._recovered = None
        if self._scored and plan.recovery:
            self._recovered = RecoveredRuns(
                self._scored.watched, golden, self.walk, self.rows, alive
            )
        self._band = [(f, f.curve()) for f in map(GoldenFolder, plan.band)]

    def run(self, number: int, attempt: int = 1) -> Row:
        begun = time.monotonic()
        fault = self.fault(number)
        columns = FaultColumns.of(fault, self._sampler.site(fault.site))
        course = Course()
        error = None
        recovery = NOT_DONE
        try:
            filled = self.follower.filled(fault)
            if self._scored:
                self._scored.begin(self.follower.first(fault))
            self.follower.follow(filled, self.plan.horizon, course)
            if self._recovered:
                recovery = self._recovery(filled)
        except NotActive as problem:
            error = str(problem)
        faulty = course.faulty
        first = self.follower.first(fault)
        judged, visible = self._judged(course, first) if faulty else ("", None)
        outcome = judged if error is None else NOT_ACTIVE
        return Row(
            number,
            columns,
            outcome,
            len(faulty),
            course.diverged,
            course.reconverged,
            course.nonfinite,
            visible,
            course.state,
            tuple((point.loss, point.accuracy) for point in faulty),
            course.validation.faulty if course.validation else None,
            time.monotonic() - begun,
            attempt,
            error,
            course.injected_steps,
            tuple(sorted(course.spread)),
            *self._told(recovery),
        )

    def _told(self, recovery: tuple[float, ...]) -> tuple:
        """Return the values and the scores of the row."""
        if not self._scored:
            return ()
        more = recovery if self._recovered else ()
        return self._scored.alarms() + more, self._scored.scores()

    def _recovery(self, fault: AnyFault) -> tuple[float, ...]:
        """Do an experiment again under protection."""
        first, limits = self.follower.first(fault), self.plan.thresholds
        steps = range(first, first + self.plan.horizon)
        golden = points(GoldenFolder(self.plan.golden), self.walk.curve, steps)
        others = [points(folder, curve, steps) for folder, curve in self._band]

        def judge(faulty: list[Point]) -> str:
            return classify(faulty, golden, limits, others=others)

        return self._recovered.values(fault, first, self.plan.horizon, judge)

    def fault(self, number: int) -> AnyFault:
        """Return the fault of an experiment."""
        return self._sampler.draw(self.plan.seed, number)

    def reach(self, number: int) -> int:
        before = self.walk.steps
        self.follower.reach(self.fault(number), self.plan.horizon)
        return self.walk.steps - before

    def _judged(self, course: Course, first: int) -> tuple[str, int | None]:
        """Return the outcome class and the first visible step."""
        faulty, limits = course.faulty, self.plan.thresholds
        steps = range(first, first + len(faulty))
        golden = points(GoldenFolder(self.plan.golden), self.walk.curve, steps)
        others = [points(folder, curve, steps) for folder, curve in self._band]
        outcome = classify(
            faulty,
            golden,
            limits,
            others=others,
            validation=course.validation,
            ended_early=not course.is_finite,
        )
        return outcome, detection_step(faulty, golden, limits, others)
