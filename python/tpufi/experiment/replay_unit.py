# SPDX-License-Identifier: Apache-2.0
"""Replays one unit fault from the state of a golden run."""

import dataclasses
import math
import pathlib
from collections.abc import Iterator

from tpufi.errors import InputError
from tpufi.experiment.follow import Course, Follower, Seen
from tpufi.experiment.fork import GoldenWalk, step_number
from tpufi.experiment.judge import points
from tpufi.faults.broken_unit import BrokenUnit, unit_text
from tpufi.golden import open_golden
from tpufi.outcomes.outcome import Point, classify
from tpufi.outcomes.outcome_thresholds import Thresholds
from tpufi.text_table import aligned_table
from tpufi.training import Session
from tpufi.training.step import operands_of


@dataclasses.dataclass(frozen=True)
class UnitReplay:
    """What the replay of a broken unit showed.

    Args:
      fault: the unit.
      outcome: class, see `tpufi.outcomes.outcome`.
      first: number of its first step since the start of training.
      faulty: the steps from there on.
      golden: the golden run's steps from the same one on.
      records: of each step how many values passed through the broken unit, and how many
        of them it changed.
    """

    fault: BrokenUnit
    outcome: str
    first: int
    faulty: tuple[Point, ...]
    golden: tuple[Point, ...]
    records: tuple[tuple[int, int], ...]

    def lines(self) -> Iterator[str]:
        """Yield the steps as a table, then the outcome."""
        rows = [["step", "golden", "faulty", "passed", "changed"]]
        for i, (point, record) in enumerate(
            zip(self.faulty, self.records, strict=True)
        ):
            known = i < len(self.golden)
            golden = f"{self.golden[i].loss:.5f}" if known else ""
            losses = golden, f"{point.loss:.5f}"
            rows.append([str(self.first + i), *losses, *map(str, record)])
        yield f"{unit_text(self.fault.fault.unit)}, {self.fault.operation}"
        yield from aligned_table(rows).splitlines()
        yield f"outcome: {self.outcome}"


def replay_unit(
    fault: BrokenUnit,
    golden: str | pathlib.Path,
    limits: Thresholds,
    *,
    horizon: int | None = None,
    session: Session | None = None,
) -> UnitReplay:
    """Break a unit in a training run from one step on, and follow it.

    The run is entered right before that step, from the golden run; that its state is
    the golden one is verified by digest.

    Args:
      fault: the unit.
      golden: folder of the golden run.
      limits: thresholds of the outcome classes.
      horizon: steps to run; default: to the golden run's end.
      session: a session of the golden run, to reuse its compiled programs.

    Raises:
      InputError: the golden run has no such step, replica, tensor or layer, or its
        state cannot be reproduced here.
    """
    folder, session = open_golden(golden, session, ())
    replicas = session.program.replicas
    if fault.replica >= replicas:
        raise InputError(
            f"unit: replica {fault.replica}: the golden run has replicas 0 to "
            f"{replicas - 1}; choose one of them"
        )
    walk = GoldenWalk(folder, session, shown=True)
    first = step_number(folder, session, fault.epoch, fault.step, walk.curve)
    # A unit that the workload lacks is told before the way to that step.
    unit = fault.descriptor(session.program.table, first=first)
    operands_of(unit, first, session.program.training_step, session.initial_state())
    last = first + horizon if horizon else max(walk.curve) + 1
    course, records = Course(), []

    def note(seen: Seen) -> bool:
        record = seen.result.record
        records.append((0, 0) if record is None else tuple(record.tolist()))
        return math.isfinite(seen.result.loss)

    Follower(session, walk).follow(fault, last - first, course, note)
    reference = points(folder, walk.curve, range(first, last))
    outcome = classify(
        course.faulty, reference, limits, ended_early=not course.is_finite
    )
    return UnitReplay(
        fault, outcome, first, tuple(course.faulty), reference, tuple(records)
    )
