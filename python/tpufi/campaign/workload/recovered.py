# SPDX-License-Identifier: Apache-2.0
"""Experiments done again under protection: what recovery makes of their faults."""

import math
from collections.abc import Callable

import tensorflow as tf

from tpufi.campaign.effect import MASKED
from tpufi.campaign.workload.golden_scores import GoldenScores
from tpufi.descriptor import Descriptor
from tpufi.detect import ProtectedRun, WatchedSession
from tpufi.detect.recovery import (
    FALSE_ALARM,
    FIRST,
    IDENTICAL,
    LOST,
    MOVED,
    UNSEEN,
    WITHIN,
    cost,
    recovery_outcome,
)
from tpufi.experiment.fork import GoldenWalk
from tpufi.experiment.inject import injections_of
from tpufi.faults.broken_unit import AnyFault
from tpufi.outcomes.outcome import Point
from tpufi.training import state_digest
from tpufi.training.sent import is_stale
from tpufi.units import UnitFault

_OUTCOMES = (IDENTICAL, WITHIN, LOST, FALSE_ALARM, UNSEEN)
# Names of the measures of an experiment, and whether each is a truth value.
RECOVERY = "recovery: "
MEASURES = (
    *((RECOVERY + outcome, True) for outcome in _OUTCOMES),
    (f"{RECOVERY}steps done again", False),
)
NOT_DONE = (*(0.0 for _ in _OUTCOMES), math.nan)


class RecoveredRuns:
    """Runs experiments under protection.

    A fault whose moments are drawn is not there when a step is done again, as on a
    machine; any other fault with a moment is, until the replicas are moved. Where a
    stale link is not there its program runs with the link whole, which tells what
    replicas sent.

    Args:
      watched: the session under detectors.
      golden: what these remember of the golden run.
      walk: its states.
      rows: rows of the armed program's descriptor.
      alive: called after every step.
    """

    def __init__(
        self,
        watched: WatchedSession,
        golden: GoldenScores,
        walk: GoldenWalk,
        rows: int,
        alive: Callable[[], None],
    ):
        self._watched, self._golden, self._walk = watched, golden, walk
        self._rows, self._alive = rows, alive

    def values(
        self,
        fault: AnyFault,
        first: int,
        horizon: int,
        judge: Callable[[list[Point]], str],
    ) -> tuple[float, ...]:
        """Return the values of `MEASURES`.

        Args:
          fault: with its words.
          first: number of its first step.
          horizon: steps to run.
          judge: tells the outcome class of losses from the first step on.
        """
        program = self._watched.session.program
        row = fault.descriptor(program.table, self._rows, first)
        times = injections_of(fault, program.table, program.replicas, first, horizon)
        stays = fault.when is not None and fault.when.rate == 1
        nothing = row.whole if is_stale(row) else None

        def faults(number: int, attempt: int) -> Descriptor | UnitFault | None:
            there = attempt == FIRST or (stays and attempt < MOVED)
            return row if there and times[number - first] else nothing

        memory = tf.nest.map_structure(tf.constant, self._golden.memories[first])
        begin = self._walk.entry(first, row)
        run = ProtectedRun(self._watched, begin, first, memory)
        points = []
        for _ in range(horizon):
            result = run.step(faults)
            points.append(Point(result.loss, result.accuracy, ""))
            self._alive()
        last = self._walk.curve[first + horizon - 1]["state"]
        outcome = recovery_outcome(
            run.incidents,
            state_digest(run.state) == last,
            lambda: judge(points) in MASKED,
        )
        again = sum(cost(run.incidents, run.replays).values())
        return (*(float(outcome == known) for known in _OUTCOMES), float(again))
