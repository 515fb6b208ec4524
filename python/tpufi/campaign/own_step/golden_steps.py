# SPDX-License-Identifier: Apache-2.0
"""The golden run of a user's training step: its states by number, in memory."""

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from tpufi.campaign.own_step.training_program import metrics_of
from tpufi.instrument import Run
from tpufi.outcomes.outcome import Point

Values = list[np.ndarray]

_KEPT = 16  # States that are kept to enter the run at.


class GoldenSteps:
    """A golden run from the state that the program begins with.

    Args:
      run: runs a step by its number.
      variables: all that the step changes.
      steps: how many, >= 1.
      alive: called after every step.

    Attributes:
      points: loss, accuracy and digest of the state after each step.
      metrics: the numbers of each step.
    """

    def __init__(
        self,
        run: Callable[[int], Run],
        variables: Sequence[tf.Variable],
        steps: int,
        alive: Callable[[], None],
    ):
        self._run, self._variables, self._alive = run, variables, alive
        self.points: list[Point] = []
        self.metrics: list[dict[str, float]] = []
        every = max(1, steps // _KEPT)
        self._states = {0: self.values()}
        for number in range(steps):
            self.metrics.append(metrics_of(run(number).outputs))
            self.points.append(point_of(self.metrics[-1], self.state()))
            if (number + 1) % every == 0:
                self._states[number + 1] = self.values()
            alive()
        self._near = 0, self._states[0]
        self.write(self._states[0])

    def enter(self, number: int) -> int:
        """Set the state before a step; return the steps that had to be run."""
        known = dict([*self._states.items(), self._near])
        begin = max(n for n in known if n <= number)
        self.write(known[begin])
        for step in range(begin, number):
            self._run(step)
            self._alive()
        self._near = number, self.values()
        return number - begin

    def values(self) -> Values:
        """Return the present state."""
        return [variable.numpy() for variable in self._variables]

    def write(self, values: Values) -> None:
        """Set the state."""
        for variable, value in zip(self._variables, values, strict=True):
            variable.assign(value)

    def state(self) -> str:
        """Return the digest of the present state."""
        whole = hashlib.sha256()
        for value in self.values():
            whole.update(np.ascontiguousarray(value).tobytes())
        return whole.hexdigest()[:16]

    def digest(self) -> str:
        """Return the digest of the whole run, hexadecimal."""
        text = "\n".join(f"{p.loss!r} {p.accuracy!r} {p.state}" for p in self.points)
        return hashlib.sha256(text.encode()).hexdigest()


def point_of(metrics: dict[str, float], state: str) -> Point:
    """Return what outcomes look at in a step; without an accuracy it is NaN."""
    return Point(metrics["loss"], metrics.get("accuracy", float("nan")), state)
