# SPDX-License-Identifier: Apache-2.0
"""Detectors and recovery around any step that changes variables."""

import collections
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tpufi.detect.catalogue import name_of
from tpufi.detect.detector import Detector
from tpufi.detect.detectors.exact_replay import ExactReplay
from tpufi.detect.recovery import PERSISTENT, TRANSIENT, Incident
from tpufi.detect.signals import Network
from tpufi.detect.step_view import StepView
from tpufi.errors import InputError

RESTORE, STOP, REPORT = "restore", "stop", "report"
ACTIONS = (RESTORE, STOP, REPORT)

# Runs a step on a batch; returns its loss and whatever the caller wants.
Execute = Callable[[Any], tuple[Any, Any]]


class Guard:
    """Scores steps, keeps the variables of the last ones, and restores them.

    Args:
      view: the step's variables.
      network: what is known of the network.
      detectors: by name, or in a sequence that is named as the catalogue does.
      on_alarm: `restore`: write back the variables of two steps before and do the
        steps again; if the alarm comes back, write them back once more and stop.
        `stop`: write them back and stop. `report`: only note it.
      kept: steps whose variables are kept, the present one included; >= 1.

    Attributes:
      incidents: what came of the alarms.
      scores: of the last step, by detector.
      stopped: whether the training is to stop.

    Raises:
      InputError: an action or a number is not one, or a detector reads what the step
        does not offer.
    """

    def __init__(
        self,
        view: StepView,
        network: Network,
        detectors: Mapping[str, Detector] | Sequence[Detector],
        on_alarm: str = RESTORE,
        kept: int = 2,
    ):
        check_policy(on_alarm, kept)
        if not isinstance(detectors, Mapping):
            detectors = {name_of(found): found for found in detectors}
        view.check(detectors, network)
        self.incidents: list[Incident] = []
        self.scores: dict[str, float] = {}
        self.stopped = False
        self._view, self._detectors, self._network = view, detectors, network
        self._variables, self._on_alarm = view.variables, on_alarm
        self._memory = {n: d.memory(network) for n, d in detectors.items()}
        self._kept: collections.deque = collections.deque(maxlen=kept)
        self._score = tf.function(self._scored, autograph=False)
        self._number = 0

    def run(self, execute: Execute, batch: Any, again: Execute | None = None) -> Any:
        """Run a step, and what an alarm asks for; return what the step returned.

        Args:
          execute: the step.
          batch: what it takes.
          again: the step if it has to be done again; None: the same.
        """
        again = again or execute
        self._kept.append((self._values(), self._memory, batch))
        result, alarms = self._step(execute, batch, again)
        if alarms and self._on_alarm == REPORT:
            self._note(alarms, "reported", 0)
        elif alarms and self._on_alarm == STOP:
            self._restore()
            self._note(alarms, "stopped", 0)
            self.stopped = True
        elif alarms:
            result = self._recovered(again, alarms, result)
        self._number += 1
        return result

    def _step(
        self, execute: Execute, batch: Any, again: Execute
    ) -> tuple[Any, tuple[str, ...]]:
        before = self._kept_values(batch)
        loss, result = execute(batch)
        after = self._values()
        scores, self._memory = self._score(
            before, after, tf.cast(loss, tf.float32), self._memory
        )
        self.scores = dict(zip(self._detectors, scores.numpy().tolist(), strict=True))
        for name, found in self._detectors.items():
            if isinstance(found, ExactReplay) and found.due(self._number):
                self._write(before)
                again(batch)
                same = map(_same_bits, self._values(), after)
                self.scores[name] = float(not all(same))
        return result, tuple(
            n for n, d in self._detectors.items() if d.alarms(self.scores[n])
        )

    def _kept_values(self, batch: Any) -> list[tf.Tensor]:
        """Return the values before the step of a batch that is kept."""
        (values,) = (v for v, _, b in self._kept if b is batch)
        return values

    def _recovered(self, again: Execute, alarms: tuple[str, ...], result: Any) -> Any:
        """Do the kept steps again; write back their beginning if the alarm recurs."""
        self._restore()
        kept = list(self._kept)
        self._kept.clear()
        recurs: set[str] = set()
        for _, _, batch in kept:
            self._kept.append((self._values(), self._memory, batch))
            result, found = self._step(again, batch, again)
            recurs |= {*found}
        kind = PERSISTENT if recurs & {*alarms} else TRANSIENT
        if kind == PERSISTENT:
            self._restore()
            self.stopped = True
        self._note(alarms, kind, len(kept))
        return result

    def _restore(self) -> None:
        values, self._memory, _ = self._kept[0]
        self._write(values)

    def _note(self, alarms: tuple[str, ...], kind: str, again: int) -> None:
        first = self._number - len(self._kept) + 1
        self.incidents.append(Incident(self._number, alarms, kind, first, again))

    def _values(self) -> list[tf.Tensor]:
        # A copy: the variable's own memory may be updated in place.
        return [tf.identity(v.read_value()) for v in self._variables]

    def _write(self, values: list[tf.Tensor]) -> None:
        for variable, value in zip(self._variables, values, strict=True):
            variable.assign(value)

    def _scored(self, before: list, after: list, loss: tf.Tensor, memory: Any) -> tuple:
        signals = self._view.signals(before, after, loss)
        scores, kept = [], {}
        for name, found in self._detectors.items():
            score, kept[name] = found.score(signals, memory[name], self._network)
            scores.append(tf.cast(score, tf.float32))
        return tf.stack(scores), kept


def check_policy(on_alarm: str, kept: int) -> None:
    """Refuse an action that is none, or that keeps no step.

    Raises:
      InputError: it is.
    """
    if on_alarm not in ACTIONS:
        raise InputError(f"on_alarm {on_alarm!r}; expected one of {', '.join(ACTIONS)}")
    if kept < 1:
        raise InputError(f"kept {kept}: a step needs the state before it; give 1")


def _same_bits(a: tf.Tensor, b: tf.Tensor) -> bool:
    return np.asarray(a).tobytes() == np.asarray(b).tobytes()
