# SPDX-License-Identifier: Apache-2.0
"""Golden states that experiments fork from: a trajectory, walked once."""

from collections.abc import Callable, Iterable

from tpufi.descriptor import Descriptor
from tpufi.errors import InputError
from tpufi.experiment.control import Control
from tpufi.golden import GoldenFolder
from tpufi.progress import Progress
from tpufi.training import Session, State, state_digest
from tpufi.training.blocks import Blocks
from tpufi.training.sent import is_stale
from tpufi.units import UnitFault


class GoldenWalk:
    """States of a golden run by the number of their next step.

    Ascending numbers make the walk take every step once: it goes on
    from the last state, or from a checkpoint that is nearer.

    Args:
      folder: of the golden run.
      session: its session.
      verify: compare the digest of every state that is asked for with the golden run's.
      alive: called after every step or block of steps.
      blocks: of the session, for steps on the way to a state; None: single steps.
      shown: show the progress of the way to a state.

    Attributes:
      curve: steps of the golden run by number: loss, accuracy, digest of the new state.
      steps: golden steps that have been walked.
    """

    def __init__(
        self,
        folder: GoldenFolder,
        session: Session,
        verify: bool = True,
        alive: Callable[[], None] = lambda: None,
        blocks: Blocks | None = None,
        shown: bool = False,
    ):
        self.curve = folder.curve()
        self.steps = 0
        self._folder = folder
        self._session = session
        self._verify = verify
        self._alive = alive
        self._blocks = blocks
        self._shown = shown
        self._control = Control(session, alive)
        self._checkpoints = folder.checkpoints()
        self._reached: dict[int, State] = {}
        self._verified = -1

    def state(self, number: int) -> State:
        """Return the state before step `number`, at or after the run's first step.

        Later states that `ahead` has reached are kept, earlier ones are not.

        Raises:
          InputError: the run starts later, the state cannot be reproduced here, or a
            checkpoint is damaged.
        """
        if number not in self._reached:
            self._reached = self._entered(number)
            self._verified = -1
        self._check(number)
        # Stale faults read the step before the faulty one.
        self._reached = {n: s for n, s in self._reached.items() if n >= number - 1}
        return self._reached[number]

    def entry(self, number: int, fault: Descriptor | UnitFault) -> State:
        """Return the state that an experiment begins with before step `number`.

        That is `state(number)`; of a stale link with what replicas sent in the step
        before, which is run once more by the program of the unit, whole.

        Args:
          number: of the step.
          fault: what the experiment injects.

        Raises:
          InputError: as `state` does, or a stale link has no step before it.
        """
        if not is_stale(fault):
            return self.state(number)
        if number == 0:
            raise InputError(
                "a stale link in step 0 of training has no step before it; choose a "
                "later step"
            )
        before = self._session.step(self.state(number - 1), number - 1, fault.whole)
        self._alive()
        return self.state(number)._replace(sent=before.state.sent)

    def ahead(self, number: int) -> State:
        """Return a later state than the last one asked for; all between are kept."""
        for step in range(max(self._reached), number):
            self._reached[step + 1] = self._step(self._reached[step], step)
            self._check(step + 1)
        return self._reached[number]

    def control(
        self, number: int, steps: int, clean: int = 0, armed: int | UnitFault = 1
    ) -> State:
        """Return the state after steps of the armed program without a fault.

        Args:
          number: of the step that `state` was last asked for, where experiments fork.
          steps: armed steps, >= 1.
          clean: steps of the clean program that follow.
          armed: which armed program, see `Control.fork`.
        """
        self._control.fork(number, self._reached[number], armed)
        return self._control.state(steps, clean)

    def is_control(
        self, state: State, number: int, steps: int, armed: int | UnitFault = 1
    ) -> bool:
        """Tell whether a state is `control(number, steps)`, bitwise."""
        self._control.fork(number, self._reached[number], armed)
        return self._control.is_same(state, steps)

    def _check(self, number: int) -> None:
        """Compare a state with the golden run's, once."""
        if self._verify and number > self._verified:
            check_is_golden(self._folder, self._reached[number], number, self.curve)
            self._verified = number

    def _entered(self, number: int) -> dict[int, State]:
        """Return the state before a step, and the one before that if it was met."""
        first_step = self._folder.read_manifest()[0].first_step
        if number < first_step:
            raise InputError(
                f"{self._folder.path}: the golden run starts at step {first_step}, "
                f"after step {number}; choose a later step, or the run it started from"
            )
        begin = max([0, *(c for c in self._checkpoints if c <= number)])
        near = max((n for n in self._reached if n < number), default=-1)
        if near >= begin:
            begin, state = near, self._reached[near]
        elif begin:
            state = self._folder.load(self._session.program.workload, begin)
        else:
            state = self._session.initial_state()
        # The last step by itself: the state before it is kept too.
        while self._blocks and begin + 1 < number:
            count = min(self._blocks.size, number - 1 - begin)
            then = min(self._blocks.size, number - 1 - begin - count)
            state = self._blocks.run(state, begin, count, then).state
            begin += count
            self.steps += count
            self._alive()
        last = {begin: state}
        steps: Iterable[int] = range(begin, number)
        if self._shown:
            steps = Progress("golden state", number - begin).steps(steps)
        for step in steps:
            last = {step: last[step], step + 1: self._step(last[step], step)}
        return last

    def _step(self, state: State, number: int) -> State:
        result = self._session.step(state, number)
        self.steps += 1
        self._alive()
        return result.state


def enter(folder: GoldenFolder, session: Session, number: int) -> State:
    """Return the golden state before step `number`, verified by its digest.

    Args:
      folder: the golden run.
      session: its session.
      number: steps since the start of training.

    Raises:
      InputError: the run starts later, or the state cannot be reproduced here.
    """
    return GoldenWalk(folder, session, shown=True).state(number)


def step_number(
    folder: GoldenFolder, session: Session, epoch: int, step: int, curve: dict
) -> int:
    """Return the number of a step since the start of training.

    Raises:
      InputError: an epoch has no such step, or the golden run does not have it.
    """
    if step >= session.steps_per_epoch:
        raise InputError(
            f"step {step}: an epoch of {session.batches.dataset.name} has steps 0 to "
            f"{session.steps_per_epoch - 1} at this batch; choose one with --step"
        )
    number = epoch * session.steps_per_epoch + step
    if number not in curve:
        first = folder.read_manifest()[0].first_step
        begins = f" from step {first} on" if first else ""
        raise InputError(
            f"{folder.path}: the golden run has {len(curve)} steps{begins} and does "
            f"not reach epoch {epoch} step {step} (step {number} of training); "
            f"continue it with tpufi golden --steps {number + 1}, or choose --epoch "
            "and --step"
        )
    return number


def check_is_golden(
    folder: GoldenFolder, state: State, number: int, curve: dict[int, dict]
) -> None:
    """Refuse a state before step `number` that is not the golden run's, by digest.

    Raises:
      InputError: it differs; the message names the set-up of the golden run.
    """
    config, manifest = folder.read_manifest()
    if config.start and number == config.first_step:
        expected = config.start.state
    else:
        entry = curve.get(number - 1)
        expected = None if entry is None else entry["state"]
    if expected is None or state_digest(state) == expected:
        return
    trained = {
        key: value
        for key, value in manifest["environment"].items()
        if not key.endswith("digest")
    }
    raise InputError(
        f"{folder.path}: the state before step {number} is not bit-identical to the "
        f"golden run's, which was trained with {trained}; use the same set-up, or "
        "train a new golden run here"
    )
