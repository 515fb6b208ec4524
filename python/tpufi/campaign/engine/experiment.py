# SPDX-License-Identifier: Apache-2.0
"""One experiment: fork from the golden run, strike, follow, tell what became of it."""

import dataclasses
import math
import time
from collections.abc import Callable

import numpy as np

from tpufi.campaign.engine.control import ARMED, control_of
from tpufi.campaign.engine.golden_walk import GoldenWalk
from tpufi.campaign.engine.propagation import AFTER, Propagation
from tpufi.campaign.engine.unplanned import NOT_ACTIVE
from tpufi.campaign.engine.validating import Validator
from tpufi.campaign.journal.row import FaultColumns, Row
from tpufi.campaign.journal.spread import Spread
from tpufi.campaign.plan import CampaignPlan
from tpufi.descriptor import Descriptor, read_record
from tpufi.fault import Fault, holding, recording
from tpufi.golden import GoldenFolder
from tpufi.outcomes.detection import detection_step
from tpufi.outcomes.outcome import Point, Validation, classify
from tpufi.replays.judge import points
from tpufi.training import Session, State, state_digest
from tpufi.training.blocks import BlockResult, Blocks
from tpufi.training.program import StepResult
from tpufi.training.state import same_state

# Golden states that are kept to compare with; later ones are known by their digests.
_NEAR = max(AFTER)


class NotActive(Exception):
    """A fault did not strike what it names."""


@dataclasses.dataclass
class _Course:
    """What was seen while an experiment ran; steps count from the fault."""

    faulty: list[Point] = dataclasses.field(default_factory=list)
    diverged: int | None = None
    reconverged: int | None = None
    nonfinite: int | None = None
    spread: tuple[Spread, ...] = ()
    state: str | None = None
    validation: Validation | None = None
    is_finite: bool = True
    ended: bool = False

    def add(self, result: StepResult, digest: str) -> None:
        """Note a step; the digest is golden's, or empty for a state that differs."""
        step, self.state = len(self.faulty), None
        self.faulty.append(Point(result.loss, result.accuracy, digest))
        if not digest and self.diverged is None:
            self.diverged = step
        if digest and self.diverged is not None and self.reconverged is None:
            self.reconverged = step
        self._end_if_not_finite()

    def add_block(self, block: BlockResult, digest: str) -> None:
        """Note steps whose states differ from golden's; the digest is of the last."""
        self.state = digest
        pairs = zip(block.losses, block.accuracies, strict=True)
        self.faulty += [Point(loss, accuracy, "") for loss, accuracy in pairs]
        self._end_if_not_finite()

    def _end_if_not_finite(self) -> None:
        if not math.isfinite(self.faulty[-1].loss):
            self.nonfinite = len(self.faulty) - 1
            self.is_finite, self.ended = False, True


class Experimenter:
    """Runs the experiments of a plan, each a pure function of its number.

    Args:
      plan: the plan.
      session: a session of its golden run.
      verify: refuse golden states that differ from the golden run's.
      alive: called after every step, so that a hanging worker can be told.
    """

    def __init__(
        self,
        plan: CampaignPlan,
        session: Session,
        verify: bool = True,
        alive: Callable[[], None] = lambda: None,
    ):
        self.plan = plan
        self.session = session
        self.control = control_of(session.program.compiled)
        self._blocks = Blocks(session) if Blocks.serve(session) else None
        folder = GoldenFolder(plan.golden)
        self.walk = GoldenWalk(folder, session, verify, alive, self._blocks)
        self._alive = alive
        self._propagation = Propagation()
        self._validator = (
            Validator(plan, session, verify, alive) if plan.validation else None
        )
        self._band = [(f, f.curve()) for f in map(GoldenFolder, plan.band)]
        self._sampler = plan.sampler(session.program.per_replica)

    def run(self, number: int, attempt: int = 1) -> Row:
        """Run one experiment.

        Args:
          number: of the experiment.
          attempt: 1, or more if it was tried before.

        Raises:
          InputError: the golden state cannot be reproduced here.
        """
        begun = time.monotonic()
        fault = self.fault(number)
        columns = FaultColumns.of(fault)
        first = fault.epoch * self.session.steps_per_epoch + fault.step
        course = _Course()
        error = None
        try:
            if fault.stale:
                fault = self.filled(fault, first)
            self._follow(fault, first, course)
        except NotActive as problem:
            error = str(problem)
        faulty = course.faulty
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
            tuple(sorted(course.spread)),
        )

    def fault(self, number: int) -> Fault:
        """Return the fault of an experiment."""
        return self._sampler.draw(self.plan.seed, number)

    def reach(self, fault: Fault) -> None:
        """Walk the golden run as far as an experiment needs it at once."""
        first = fault.epoch * self.session.steps_per_epoch + fault.step
        self.walk.state(first)
        self.walk.ahead(first + min(self.plan.horizon, _NEAR))

    def _follow(self, fault: Fault, first: int, course: _Course) -> None:
        """Train from the fault on until golden again, not finite, or the horizon."""
        state = self.walk.state(first)
        descriptor = fault.descriptor(self.session.program.table)
        in_blocks = self._blocks is not None
        while not course.ended and (step := len(course.faulty)) < self.plan.horizon:
            # A fault that leaves no trace is golden's right after its last step.
            if in_blocks and step >= fault.duration:
                block = self._block(state, first, step)
                digest, after = state_digest(block.state), step + len(block.losses)
                if digest != self._golden_after(first, after):
                    state = block.state
                    course.add_block(block, digest)
                    self._note_spread(state, first, fault.duration, course)
                    continue
                in_blocks = False  # Golden again within it: find out where.
            state = self._single(state, fault, descriptor, first, course)
        # Empty for a state that is not golden's.
        course.state = course.faulty[-1].state or course.state or state_digest(state)
        if self._validator and not course.ended:
            steps = first + self.plan.horizon
            course.validation = self._validator.validation(state, steps)
            course.is_finite = course.validation is not None

    def _single(
        self,
        state: State,
        fault: Fault,
        descriptor: Descriptor,
        first: int,
        course: _Course,
    ) -> State:
        """Run the next step and return the state after it."""
        step = len(course.faulty)
        armed = step < fault.duration
        strikes = descriptor if armed else None
        result = self.session.step(state, first + step, strikes)
        self._alive()
        if armed:
            check_struck(fault, descriptor, result.record)
        state, after = result.state, step + 1
        golden = self._is_golden(state, first, after, fault.duration)
        course.add(result, self._golden_after(first, after) if golden else "")
        # From an equal state on, every later step is golden's.
        course.ended |= golden and step >= fault.duration - 1
        if not golden:
            self._note_spread(state, first, fault.duration, course)
        return state

    def _note_spread(
        self, state: State, first: int, duration: int, course: _Course
    ) -> None:
        """Note how far the fault has spread, after steps where the plan asks for it."""
        after = len(course.faulty)
        if self.plan.propagation and after in AFTER:
            if self.control == ARMED:
                struck = min(after, duration)
                right = self.walk.control(first, struck, after - struck)
            else:
                right = self.walk.ahead(first + after)
            course.spread += self._propagation.spread(after, right, state)

    def _block(self, state: State, first: int, step: int) -> BlockResult:
        """Run the next steps in one call, up to where somebody looks at the state."""
        count = self._until_look(step)
        then = self._until_look(step + count)
        found = self._blocks.run(state, first + step, count, then)
        self._alive()
        return found

    def _until_look(self, step: int) -> int:
        """Return the steps to run in one call after so many; 0 at the horizon."""
        looks = [self.plan.horizon, step + self._blocks.size]
        if self.plan.propagation:
            looks += [after for after in AFTER if after > step]
        return min(looks) - step

    def _golden_after(self, first: int, steps: int) -> str:
        """Return the digest of the golden state so many steps after the fault."""
        return self.walk.curve[first + steps - 1]["state"]

    def _is_golden(self, state: State, first: int, after: int, duration: int) -> bool:
        """Tell whether the state some steps after the fault is golden's by bits.

        After the struck steps that is the state of the control, if it has bits of its
        own: a fault that leaves those has left no trace.
        """
        if self.control == ARMED and after <= duration:
            return self.walk.is_control(state, first, after)
        if after <= _NEAR:
            return same_state(self.walk.ahead(first + after), state)
        return state_digest(state) == self._golden_after(first, after)

    def filled(self, fault: Fault, first: int) -> Fault:
        """Return a stale fault with the bits its elements had one step before.

        Args:
          fault: a stale fault.
          first: number of its step.

        Raises:
          NotActive: not all of its elements could be read.
        """
        before = recording(fault, self.session.steps_per_epoch)
        result = self.session.step(
            self.walk.state(first - 1),
            first - 1,
            before.descriptor(self.session.program.table),
        )
        self._alive()
        (struck,) = read_record(result.record)
        if struck.count != fault.positions.count:
            raise NotActive(
                f"{fault.site}: {struck.count} of {fault.positions.count} stale values "
                "could be read"
            )
        return holding(fault, struck.golden.tolist())

    def _judged(self, course: _Course, first: int) -> tuple[str, int | None]:
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


def check_struck(fault: Fault, descriptor: Descriptor, record: np.ndarray) -> None:
    """Raise NotActive unless a step struck all elements that the fault names."""
    struck = sum(row.count for row in read_record(record))
    wanted = len(descriptor.positions())
    if struck != wanted:
        raise NotActive(f"{fault.site}: {struck} of {wanted} elements were struck")
