# SPDX-License-Identifier: Apache-2.0
"""Following a faulty run from the golden state it forks from."""

import dataclasses
import itertools
import math
from collections.abc import Callable

import numpy as np

from tpufi.descriptor import Descriptor, disarmed
from tpufi.experiment.control import ARMED, GOLDEN, control_of
from tpufi.experiment.fork import GoldenWalk
from tpufi.experiment.inject import check_injected, filled, injections_of
from tpufi.experiment.propagation import AFTER, Propagation
from tpufi.experiment.spread import Spread
from tpufi.experiment.validation import Validator
from tpufi.faults.broken_unit import AnyFault, BrokenUnit
from tpufi.outcomes.outcome import Point, Validation
from tpufi.training import Session, State, state_digest
from tpufi.training.blocks import BlockResult, Blocks
from tpufi.training.program import StepResult
from tpufi.training.state import same_state
from tpufi.units import UnitFault

# A fault as a step takes it.
Armed = Descriptor | UnitFault

# Golden states that are kept to compare with; later ones are known by their digests.
_NEAR = max(AFTER)


@dataclasses.dataclass(frozen=True, eq=False)
class Seen:
    """One step of a faulty run, for its observer.

    Args:
      number: of the step, since the start of training.
      fault: the fault that was injected into it, with its words; None: it was clean.
      result: loss, accuracy and record; its state is the state after the step.
    """

    number: int
    fault: AnyFault | None
    result: StepResult


# Returns whether the run is still finite.
Observer = Callable[[Seen], bool]


@dataclasses.dataclass
class Course:
    """What was seen while an experiment ran; steps count from the fault.

    Attributes:
      faulty: a point for each step; its digest is empty if the state differs from the
        golden one and was not asked for.
      diverged: first step whose state differs from the golden one; None: none did.
      reconverged: first step whose state is golden again; None: none was.
      nonfinite: first step with a loss that is not finite.
      spread: how far the fault had spread.
      state: digest of the last state.
      last: the last state; None: no step was run.
      validation: test accuracies after the last step; None: not looked at.
      is_finite: whether all losses were finite.
      ended: whether nothing is left to be seen.
      injected_steps: steps in which an element was injected into.
    """

    faulty: list[Point] = dataclasses.field(default_factory=list)
    diverged: int | None = None
    reconverged: int | None = None
    nonfinite: int | None = None
    spread: tuple[Spread, ...] = ()
    state: str | None = None
    last: State | None = None
    validation: Validation | None = None
    is_finite: bool = True
    ended: bool = False
    injected_steps: int = 0

    def add(
        self, result: StepResult, golden: bool, digest: str, for_good: bool = True
    ) -> None:
        """Note a step.

        Args:
          result: of the step.
          golden: whether its state is golden.
          digest: of its state, or empty.
          for_good: whether golden states may count as reached again: a fault that will
            be injected again leaves them.
        """
        step, self.state = len(self.faulty), None
        self.faulty.append(Point(result.loss, result.accuracy, digest))
        if not golden and self.diverged is None:
            self.diverged = step
        again = golden and for_good and self.diverged is not None
        if again and self.reconverged is None:
            self.reconverged = step
        self._end_if_not_finite()

    def add_block(self, block: BlockResult, digest: str) -> None:
        """Note steps nobody looked at; the digest is of the last, or empty."""
        self.state = digest
        pairs = zip(block.losses, block.accuracies, strict=True)
        self.faulty += [Point(loss, accuracy, "") for loss, accuracy in pairs]
        self._end_if_not_finite()

    def end(self) -> None:
        """Note that a loss was not finite."""
        self.is_finite, self.ended = False, True

    def _end_if_not_finite(self) -> None:
        if not math.isfinite(self.faulty[-1].loss):
            self.nonfinite = len(self.faulty) - 1
            self.end()


class Follower:
    """Runs faulty steps and the steps after them, beside the golden run.

    Args:
      session: of the golden run.
      walk: its golden states.
      validator: evaluates the last states; None: they are not evaluated.
      propagation: note how far faults spread.
      blocks: of the session, for steps that nobody looks at; None: single steps.
      rows: rows of the armed program's descriptor, as many as the faults take that
        share a program.
      alive: called after every step, so that a hanging worker can be told.
      step: runs the steps in place of the session's own, which has the same bits.

    Attributes:
      session: of the golden run.
      control: what a faulty step is compared with, see `control_of`.
    """

    def __init__(
        self,
        session: Session,
        walk: GoldenWalk,
        validator: Validator | None = None,
        propagation: bool = False,
        blocks: Blocks | None = None,
        rows: int = 1,
        alive: Callable[[], None] = lambda: None,
        step: Callable[[State, int, Armed | None], StepResult] | None = None,
    ):
        self.control = control_of(session.program.compiled)
        self.session = session
        self._own_step = step
        self._walk = walk
        self._validator = validator
        self._propagation = Propagation() if propagation else None
        self._blocks = blocks
        self._rows = rows
        self._alive = alive

    def first(self, fault: AnyFault) -> int:
        """Return the number of a fault's step since the start of training."""
        return fault.epoch * self.session.steps_per_epoch + fault.step

    def reach(self, fault: AnyFault, horizon: int) -> None:
        """Walk the golden run as far as an experiment needs it at once."""
        first = self.first(fault)
        self._walk.state(first)
        self._walk.ahead(first + min(horizon, _NEAR))

    def filled(self, fault: AnyFault) -> AnyFault:
        """Return a fault with its words; those of a stale one are read where they are.

        Raises:
          NotActive: not all of a stale fault's elements could be read.
        """
        if isinstance(fault, BrokenUnit) or not fault.stale:
            return fault
        first = self.first(fault)
        before = self._walk.state(first - 1)
        found = filled(fault, self.session, before, first, self._rows)
        self._alive()
        return found

    def follow(
        self,
        fault: AnyFault,
        horizon: int,
        course: Course,
        observer: Observer | None = None,
        with_fault: bool = True,
    ) -> None:
        """Train from the fault on until golden for good, not finite, or the horizon.

        A state is golden for good behind the last step that the fault is injected in:
        which steps these are is drawn beforehand (`inject.injections_of`).

        Args:
          fault: with its words.
          horizon: steps, the first faulty one included.
          course: what is seen goes there, also if an error ends it.
          observer: sees every step; then steps are single and go to the horizon,
            golden or not, and every point has a digest.
          with_fault: False runs the armed program without the fault.

        Raises:
          InputError: the golden state cannot be reproduced here.
          NotActive: the fault was not injected into all that it names.
        """
        program, first = self.session.program, self.first(fault)
        row = fault.descriptor(program.table, self._rows, first)
        times = injections_of(fault, program.table, program.replicas, first, horizon)
        run = _Run(row, first, fault, horizon, course, observer, with_fault, times)
        state = self._walk.entry(run.first, row)
        in_blocks = self._blocks is not None and observer is None
        while not course.ended and (step := len(course.faulty)) < horizon:
            if in_blocks and (count := self._unseen(run, step)):
                state = self._moments(state, run, step, count)
                continue
            # A fault that leaves no trace is golden's right after its last step.
            if in_blocks and step >= run.over and course.diverged is not None:
                block = self._block(state, run, step)
                digest, after = state_digest(block.state), step + len(block.losses)
                if digest != self._golden_after(run.first, after):
                    state = block.state
                    course.add_block(block, digest)
                    self._note_spread(state, run)
                    continue
                in_blocks = False  # Golden again within it: find out where.
            state = self._single(state, run)
        course.last = state
        # Empty for a state that is not golden's.
        course.state = course.faulty[-1].state or course.state or state_digest(state)
        if self._validator and not course.ended:
            steps = run.first + horizon
            course.validation = self._validator.validation(state, steps)
            course.is_finite = course.validation is not None

    def _single(self, state: State, run: "_Run") -> State:
        """Run the next step and return the state after it."""
        course, step = run.course, len(run.course.faulty)
        number, faulty = run.first + step, run.times[step] > 0
        given = run.descriptor(step, self.control)
        run_step = self._own_step or self.session.step
        result = run_step(state, number, given)
        self._alive()
        if given is not None and run.with_fault:
            run.note_injected(step, result.record)
        state, after = result.state, step + 1
        digest = state_digest(state) if run.observer is not None else None
        golden = self._is_golden(state, run, after, digest)
        if golden and after == run.over and self.control == ARMED:
            # The armed program may round otherwise: golden's own bits go on.
            state = self._walk.ahead(run.first + after)
        if golden:
            digest = self._golden_after(run.first, after)
        course.add(result, golden, digest or "", run.settles(after))
        if run.observer is not None:
            injected = run.fault if faulty and run.with_fault else None
            result = dataclasses.replace(result, state=state)
            if not run.observer(Seen(number, injected, result)) and course.is_finite:
                course.end()
        else:
            # From an equal state on, every later step is golden's.
            course.ended |= golden and after >= run.over
        if not golden:
            self._note_spread(state, run)
        return state

    def _note_spread(self, state: State, run: "_Run") -> None:
        """Note how far the fault has spread, after steps where that is asked for."""
        after = len(run.course.faulty)
        if self._propagation and after in AFTER:
            if self.control == ARMED:
                injected = min(after, run.over)
                right = self._walk.control(
                    run.first, injected, after - injected, run.program
                )
            else:
                right = self._walk.ahead(run.first + after)
            run.course.spread += self._propagation.spread(after, right, state)

    def _block(self, state: State, run: "_Run", step: int) -> BlockResult:
        """Run the next steps in one call, up to where somebody looks at the state."""
        count = self._until_look(run, step)
        then = self._until_look(run, step + count)
        found = self._blocks.run(state, run.first + step, count, then)
        self._alive()
        return found

    def _unseen(self, run: "_Run", step: int) -> int:
        """Return how many steps can be run before anybody asks for a state.

        While a fault with a moment acts, nobody asks whether the state is golden, but
        after the step that makes it another and after the last step of the fault.
        """
        if run.fault.when is None or step >= run.over:
            return 0
        diverged = run.course.diverged is not None
        count = min(self._until_look(run, step), run.over - 1 - step)
        # Steps of one kind: which program is the cheaper one is known beforehand.
        faulty = run.times[step] > 0
        if faulty and not diverged:
            return 0
        same = itertools.takewhile(
            lambda times: (times > 0) == faulty, run.times[step : step + count]
        )
        return sum(1 for _ in same)

    def _moments(self, state: State, run: "_Run", step: int, count: int) -> State:
        """Run steps of a fault that acts, all with it or all without."""
        fault, number = run.descriptor(step, self.control), run.first + step
        if count > 1:
            found = self._blocks.run(state, number, count, 0, fault)
        else:
            found = BlockResult.of(self.session.step(state, number, fault))
        self._alive()
        for moment, record in enumerate(found.records, step):
            run.note_injected(moment, record)
        run.course.add_block(found, "")
        if run.course.diverged is not None:
            self._note_spread(found.state, run)
        return found.state

    def _until_look(self, run: "_Run", step: int) -> int:
        """Return the steps to run in one call after so many; 0 at the horizon."""
        looks = [run.horizon, step + self._blocks.size]
        if self._propagation:
            looks += [after for after in AFTER if after > step]
        return min(looks) - step

    def _golden_after(self, first: int, steps: int) -> str:
        """Return the digest of the golden state so many steps after the fault."""
        entry = self._walk.curve.get(first + steps - 1)
        return "" if entry is None else entry["state"]

    def _is_golden(
        self, state: State, run: "_Run", after: int, digest: str | None
    ) -> bool:
        """Tell whether the state some steps after the fault is golden's, bitwise.

        After the faulty steps that is the state of the control, if it has bits of its
        own: a fault that leaves those has left no trace.

        Args:
          state: the state.
          run: whose state it is.
          after: steps since the fault, the first faulty one included.
          digest: of the state, if it is known.
        """
        if self.control == ARMED and after <= run.over and run.with_fault:
            return self._walk.is_control(state, run.first, after, run.program)
        if after <= _NEAR and digest is None:
            return same_state(self._walk.ahead(run.first + after), state)
        digest = digest or state_digest(state)
        return digest == self._golden_after(run.first, after)


class _Run:
    """One fault that is followed."""

    def __init__(
        self,
        faulty: Armed,
        first: int,
        fault: AnyFault,
        horizon: int,
        course: Course,
        observer: Observer | None,
        with_fault: bool,
        times: tuple[int, ...],
    ):
        self.fault = fault
        self.first = first
        self.horizon = horizon
        self.course = course
        self.observer = observer
        self.with_fault = with_fault
        # Replicas that it is injected into, for each step up to the horizon.
        self.times = times
        # Steps up to the last one that it is injected in, at least the first one's end.
        last = max((step for step, n in enumerate(times) if n), default=-1)
        self.over = last + 1 if fault.when is not None else fault.duration
        self._faulty = faulty
        # Which armed program it runs in, and what that is told without the fault.
        self.program: int | UnitFault
        self._nothing: Armed
        if isinstance(faulty, UnitFault):
            self.program = self._nothing = faulty.whole
        else:
            self.program = len(faulty.faults)
            self._nothing = disarmed(*faulty.words.shape)

    def descriptor(self, step: int, control: str) -> Armed | None:
        """Return what a step is told; None: it is clean.

        Between two injections the clean program runs where it gives the armed one's
        bits, unless a stale link will hand on what it does not tell.
        """
        between = control == GOLDEN and not self.times[step]
        if step >= self.over or (between and not self.fault.stale):
            return None
        return self._faulty if self.with_fault else self._nothing

    def settles(self, after: int) -> bool:
        """Whether a golden state after so many steps stays, or may be called so."""
        return self.fault.when is None or after >= self.over

    def note_injected(self, step: int, record: np.ndarray) -> None:
        """Compare what a step did with what it is to do, and count it."""
        if check_injected(self.fault, record, self.times[step]):
            self.course.injected_steps += 1
