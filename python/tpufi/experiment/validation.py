# SPDX-License-Identifier: Apache-2.0
"""Accuracy on the test examples after the last step, against golden runs."""

import dataclasses
import math
import pathlib
from collections.abc import Callable, Sequence

from tpufi.experiment.fork import GoldenWalk
from tpufi.golden import GoldenFolder, open_golden
from tpufi.outcomes.outcome import Validation
from tpufi.training import Session, State


class Validator:
    """Evaluates states, and golden runs after as many steps.

    The golden runs are walked once more, ahead of the experiments: experiments whose
    last steps ascend cost one step and, for each number of steps, one evaluation of
    every golden run.

    Args:
      golden: folder of the golden run.
      band: folders of golden runs with other seeds.
      session: a session of the golden run; its program serves the band as well.
      verify: refuse golden states that differ from the golden runs'.
      alive: called after every golden step and every evaluation.
    """

    def __init__(
        self,
        golden: pathlib.Path,
        band: Sequence[pathlib.Path],
        session: Session,
        verify: bool,
        alive: Callable[[], None],
    ):
        self._session = session
        self._alive = alive
        self._walks = [
            GoldenWalk(GoldenFolder(golden), session, verify, alive),
            *(
                GoldenWalk(
                    folder,
                    dataclasses.replace(other, program=session.program),
                    verify,
                    alive,
                )
                for folder, other in map(open_golden, band)
            ),
        ]
        self._steps = -1
        self._golden: tuple[float, ...] = ()

    def validation(self, state: State, steps: int) -> Validation | None:
        """Return the accuracies after a step; None: a validation loss is not finite.

        Args:
          state: of the run with the fault.
          steps: since the start of training.

        Raises:
          InputError: a golden run cannot be repeated here.
        """
        loss, accuracy = self._evaluated(state)
        if not math.isfinite(loss):
            return None
        if steps != self._steps:
            states = (walk.state(steps) for walk in self._walks)
            self._golden = tuple(self._evaluated(state)[1] for state in states)
            self._steps = steps
        return Validation(accuracy, self._golden)

    def _evaluated(self, state: State) -> tuple[float, float]:
        found = self._session.evaluate(state)
        self._alive()
        return found
