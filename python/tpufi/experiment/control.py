# SPDX-License-Identifier: Apache-2.0
"""Golden steps of the armed program: what a faulty step is compared with.

XLA may round the armed program and the clean one of the golden run in two ways. Then a
fault's doing is what differs from the armed program without it (decision 0018).
"""

from collections.abc import Callable

from tpufi.descriptor import disarmed
from tpufi.training import Session, State, same_state, state_digest
from tpufi.units import UnitFault

# What stands in the manifest.
GOLDEN, ARMED = "golden", "armed"

# States that are kept as they are; of later ones only the digest and the last.
_NEAR = 8


def control_of(compiled: bool) -> str:
    """Return what faulty steps are compared with.

    Args:
      compiled: whether XLA compiles the programs. In graph mode on a CPU the armed
        program without a fault gives the golden run's bits, which the determinism gate
        checks; a compiler promises nothing, not even at a step after one where the
        bits are the same.
    """
    return ARMED if compiled else GOLDEN


class Control:
    """Steps of the armed program without a fault, from the present fork on.

    All experiments that fork there share them; another fork forgets them.

    Args:
      session: of the golden run.
      alive: called after every step.

    Attributes:
      steps: steps that have been run.
    """

    def __init__(self, session: Session, alive: Callable[[], None]):
        self.steps = 0
        self._session = session
        self._alive = alive
        self._fork: tuple[int, int | UnitFault] | None = None
        self._armed: dict[int, State] = {}
        self._digests: dict[int, str] = {}
        self._clean: dict[tuple[int, int], State] = {}

    def fork(self, first: int, golden: State, armed: int | UnitFault = 1) -> None:
        """Begin at golden state `first`, unless this is where the last fork was.

        Args:
          first: number of the step after it.
          golden: the state.
          armed: which armed program: rows of its descriptor, or a unit that is whole.
        """
        if (first, armed) != self._fork:
            self._fork, self._armed = (first, armed), {0: golden}
            self._digests, self._clean = {}, {}

    def state(self, armed: int, clean: int = 0) -> State:
        """Return the state after steps without a fault.

        Args:
          armed: steps of the armed program, >= 1.
          clean: steps of the clean program that follow.
        """
        state = self._after_armed(armed)
        for count in range(1, clean + 1):
            if (armed, count) not in self._clean:
                number = self._fork[0] + armed + count - 1
                result = self._session.step(state, number)
                self._count()
                self._clean[armed, count] = result.state
            state = self._clean[armed, count]
        return state

    def is_same(self, state: State, armed: int) -> bool:
        """Tell whether a state is the one after so many armed steps, bitwise."""
        if armed <= _NEAR:
            return same_state(self.state(armed), state)
        if armed not in self._digests:
            self._digests[armed] = state_digest(self.state(armed))
        return state_digest(state) == self._digests[armed]

    def _after_armed(self, armed: int) -> State:
        while armed not in self._armed:
            begin = max(n for n in self._armed if n < armed)
            first, program = self._fork
            nothing = disarmed(program) if isinstance(program, int) else program
            result = self._session.step(self._armed[begin], first + begin, nothing)
            self._count()
            self._armed[begin + 1] = result.state
            if begin > _NEAR:
                del self._armed[begin]
        return self._armed[armed]

    def _count(self) -> None:
        self.steps += 1
        self._alive()
