# SPDX-License-Identifier: Apache-2.0
"""Recovery: on an alarm the state of two steps before, and the steps again.

A step is a function of state and number, so what is done again without a fault has the
bits of a run that had none. States are values: to keep one is to keep a reference.
"""

import collections
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tpufi.descriptor import Descriptor
from tpufi.detect.watch import WatchedSession, WatchedStep
from tpufi.errors import InputError
from tpufi.training import State, StepResult, same_state
from tpufi.units import UnitFault

# How often a step is tried. A real machine moves the replicas to other devices for the
# third time; a simulated fault of a device is absent then.
FIRST, AGAIN, MOVED = range(3)

# What is injected into a step, by its number and which time it is done.
Faults = Callable[[int, int], Descriptor | UnitFault | None]

TRANSIENT, PERSISTENT = "transient", "persistent"
UNCONFIRMED = "not confirmed"
REPLAYED = "exact_replay"


@dataclasses.dataclass(frozen=True)
class Incident:
    """What came of an alarm.

    Args:
      step: number of the step with the alarm.
      detectors: names of those that raised it.
      kind: `transient` (done again, the step has other bits and no alarm),
        `persistent` (only on other devices it has), or `not confirmed` (the bits are
        the same: a false alarm, or a fault older than the states that were kept).
      first: number of the first step that was done again.
      steps_again: how many steps were done again.
      replica: the one with a persistent fault; None: none, or it is not known.
    """

    step: int
    detectors: tuple[str, ...]
    kind: str
    first: int
    steps_again: int
    replica: int | None = None


def no_fault(number: int, attempt: int) -> None:
    """Inject nothing."""


class ProtectedRun:
    """A training that detectors watch and that recovers from what they find.

    Args:
      session: watched; of replicas whose gradients are compared (`compare=True`), or a
        persistent fault is not attributed.
      state: before the first step.
      number: of the first step.
      memory: of the detectors; None: that before any step.
      kept: states that are kept, that before the present step included; >= 1.
      suspicion: share of a threshold from which on a step without an alarm is done
        once again and compared; 1: none is.

    Attributes:
      state: before the next step.
      number: of the next step.
      memory: of the detectors.
      incidents: what came of the alarms so far.
      replays: suspicious steps that were done again.

    Raises:
      InputError: a number is out of range.
    """

    def __init__(
        self,
        session: WatchedSession,
        state: State,
        number: int = 0,
        memory: Any = None,
        *,
        kept: int = 2,
        suspicion: float = 0.5,
    ):
        if kept < 1:
            raise InputError(f"kept {kept}: a step needs the state before it; give 1")
        if not 0 < suspicion <= 1:
            raise InputError(
                f"suspicion {suspicion}: a share of the threshold; expected above 0 up "
                "to 1"
            )
        self.state, self.number = state, number
        self.memory = session.memory() if memory is None else memory
        self.incidents: list[Incident] = []
        self.replays = 0
        self._session, self._suspicion = session, suspicion
        self._before: collections.deque = collections.deque(maxlen=kept)
        self._standing: set[str] = set()
        self._placed = FIRST

    def step(self, faults: Faults = no_fault) -> StepResult:
        """Run the next step, and what an alarm asks for; return its result.

        A detector whose alarm was not confirmed is not heard again before a step
        without its alarm.

        Args:
          faults: what is injected.
        """
        self._before.append((self.number, self.state, self.memory))
        found = self._run(self.state, self.number, self.memory, faults, self._placed)
        alarms = {*self._session.alarms(found.scores)}
        self._standing &= alarms
        heard = tuple(n for n in found.scores if n in alarms - self._standing)
        if not heard and self._differs(found, faults):
            heard = (REPLAYED,)
        if heard:
            found = self._recovered(found, faults, heard)
        self.state, self.memory = found.result.state, found.memory
        self.number += 1
        return found.result

    def _run(
        self, state: State, number: int, memory: Any, faults: Faults, attempt: int
    ) -> WatchedStep:
        again = faults(number, max(attempt, AGAIN))
        fault = faults(number, attempt)
        return self._session.step(state, number, memory, fault, again)

    def _differs(self, found: WatchedStep, faults: Faults) -> bool:
        """Do a suspicious step again; return whether it has other bits then."""
        detectors = self._session.detectors
        if not any(
            detectors[name].suspects(score, self._suspicion)
            and not detectors[name].alarms(score)
            for name, score in found.scores.items()
        ):
            return False
        self.replays += 1
        again = self._run(
            self.state, self.number, self.memory, faults, max(self._placed, AGAIN)
        )
        return not same_state(again.result.state, found.result.state)

    def _recovered(
        self, found: WatchedStep, faults: Faults, heard: tuple[str, ...]
    ) -> WatchedStep:
        """Do the steps since the oldest kept state again, and note what came of it."""
        first = self._before[0][0]
        again = self._again(faults, max(self._placed, AGAIN))
        count, last = len(again), again[-1]
        differs = not same_state(last.result.state, found.result.state)
        kind, replica = TRANSIENT, None
        if not differs or any(self._heard(step, heard) for step in again):
            moved = self._again(faults, MOVED)
            count += len(moved)
            if same_state(moved[-1].result.state, last.result.state):
                kind = TRANSIENT if differs else UNCONFIRMED
                self._standing |= {*self._session.alarms(moved[-1].scores)}
            else:
                kind, replica = PERSISTENT, _differing(again, moved)
                self._placed = MOVED
            last = moved[-1]
        self.incidents.append(Incident(self.number, heard, kind, first, count, replica))
        return last

    def _heard(self, found: WatchedStep, heard: tuple[str, ...]) -> bool:
        return bool({*self._session.alarms(found.scores)} & {*heard})

    def _again(self, faults: Faults, attempt: int) -> list[WatchedStep]:
        """Do the kept steps again; the new states between them are kept."""
        (begin, state, memory), found = self._before[0], []
        kept = []
        for number in range(begin, self.number + 1):
            kept.append((number, state, memory))
            found.append(self._run(state, number, memory, faults, attempt))
            state, memory = found[-1].result.state, found[-1].memory
        self._before.clear()
        self._before.extend(kept)
        return found


def _differing(one: list[WatchedStep], other: list[WatchedStep]) -> int | None:
    """Return the only replica whose gradients differ where they first do."""
    for a, b in zip(one, other, strict=True):
        rows = np.flatnonzero(
            (a.norms.view(np.uint32) != b.norms.view(np.uint32)).any(1)
        )
        if rows.size or not same_state(a.result.state, b.result.state):
            return int(rows[0]) if rows.size == 1 else None
    return None


# What became of an experiment under protection.
IDENTICAL = "recovered, bit-identical"
WITHIN = "recovered, within the band"
LOST = "not recovered"
FALSE_ALARM = "false alarm"
UNSEEN = "no alarm"


def recovery_outcome(
    incidents: list[Incident], identical: bool, within: Callable[[], bool]
) -> str:
    """Return what became of a run.

    A fault that is found later than the kept states reach back is `not recovered`, or
    within the band.

    Args:
      incidents: of the run.
      identical: whether its last state is golden's, bit for bit.
      within: tells whether it is masked by the limits of the outcome classes.
    """
    if not incidents:
        return UNSEEN
    if identical:
        confirmed = any(i.kind != UNCONFIRMED for i in incidents)
        return IDENTICAL if confirmed else FALSE_ALARM
    return WITHIN if within() else LOST


def cost(incidents: list[Incident], replays: int = 0) -> Mapping[str, int]:
    """Return how many steps were done again, by the kind of the incident.

    Args:
      incidents: of the run.
      replays: suspicious steps that were done again.
    """
    found = {kind: 0 for kind in (TRANSIENT, PERSISTENT, UNCONFIRMED)}
    for incident in incidents:
        found[incident.kind] += incident.steps_again
    return found | {"suspicious steps": replays}
