# SPDX-License-Identifier: Apache-2.0
"""Replays an injection into a run that detectors watch and that recovers."""

import dataclasses
import pathlib
from collections.abc import Iterator, Mapping

from tpufi.descriptor import Descriptor
from tpufi.detect import Detector, WatchedSession, detector
from tpufi.detect.recovery import (
    FIRST,
    Incident,
    ProtectedRun,
    cost,
    recovery_outcome,
)
from tpufi.experiment.fork import GoldenWalk, step_number
from tpufi.experiment.inject import check_fits, fault_of
from tpufi.faults.injection_file import InjectionFile
from tpufi.golden import open_golden
from tpufi.outcomes.outcome import Point, classify
from tpufi.outcomes.outcome_thresholds import read_thresholds
from tpufi.training import Session, State, state_digest

# What watches unless the caller says: cheap, and without a warm-up.
USUAL = ("non_finite", "history_bounds", "variance_bounds", "state_checksum")


@dataclasses.dataclass(frozen=True)
class ProtectedReplay:
    """What a replay under protection showed.

    Args:
      outcome: see `tpufi.detect.recovery.recovery_outcome`.
      first: number of the injected step.
      incidents: what came of the alarms.
      losses: of the steps from the injected one on, after recovery.
      golden: those of the golden run.
      identical: whether the last state is golden's, bit for bit.
      cost: steps that were done again, see `tpufi.detect.recovery.cost`.
      state: the last state.
    """

    outcome: str
    first: int
    incidents: tuple[Incident, ...]
    losses: tuple[float, ...]
    golden: tuple[float, ...]
    identical: bool
    cost: Mapping[str, int]
    state: State

    def lines(self) -> Iterator[str]:
        """Yield what a reader wants to know, a line each."""
        for found in self.incidents:
            where = "" if found.replica is None else f" on replica {found.replica}"
            yield (
                f"alarm at step {found.step}, {found.step - self.first} steps after "
                f"the fault, by {', '.join(found.detectors)}"
            )
            yield (
                f"{found.kind}{where}: {found.steps_again} steps done again from the "
                f"state before step {found.first}"
            )
        yield self.outcome


def replay_protected(
    injection: InjectionFile,
    golden: str | pathlib.Path,
    *,
    epoch: int,
    step: int,
    horizon: int,
    detectors: Mapping[str, Detector] | None = None,
    warm: int = 2,
    persistent: bool = False,
    session: Session | None = None,
) -> ProtectedReplay:
    """Inject one fault into a training under protection and follow it.

    The run is entered some clean steps before the faulty one, from the golden run. What
    it trains after an alarm is compared with the golden run by digests.

    Args:
      injection: the fault.
      golden: folder of the golden run.
      epoch: of the faulty step.
      step: of the faulty step, in its epoch.
      horizon: steps to run, the faulty one included.
      detectors: by name; None: `USUAL`.
      warm: clean steps before the faulty one, as far as there are any.
      persistent: whether the fault is there whenever its step is done on its device.
      session: a session of the golden run, to reuse its data.

    Raises:
      InputError: the injection does not fit, or the golden state cannot be reproduced.
    """
    folder, session = open_golden(golden, session, {injection.site_name})
    config, _ = folder.read_manifest()
    check_fits(injection, config)
    _, fault = fault_of(injection, session)
    walk = GoldenWalk(folder, session)
    first = step_number(folder, session, epoch, step, walk.curve)
    begin = max(config.first_step, first - warm)
    usual = {name: detector(name) for name in USUAL}
    watched = WatchedSession(session, detectors or usual, compare=True)
    run = ProtectedRun(watched, walk.state(begin), begin)
    row = fault.descriptor(session.program.table)

    def faults(number: int, attempt: int) -> Descriptor | None:
        # A fault of a device is there again unless the replicas are moved.
        there = attempt == FIRST or (persistent and attempt < 2)
        return row if number == first and there else None

    results = [run.step(faults) for _ in range(begin, first + horizon)]
    losses = tuple(r.loss for r in results[first - begin :])
    end = first + horizon - 1
    identical = state_digest(run.state) == walk.curve[end]["state"]
    entries = [walk.curve[n] for n in range(first, end + 1)]
    reference = tuple(Point(e["loss"], e["accuracy"], e["state"]) for e in entries)

    def within() -> bool:
        points = [Point(r.loss, r.accuracy, "") for r in results[first - begin :]]
        return classify(points, reference, read_thresholds()).startswith("masked")

    return ProtectedReplay(
        recovery_outcome(run.incidents, identical, within),
        first,
        tuple(run.incidents),
        losses,
        tuple(p.loss for p in reference),
        identical,
        cost(run.incidents, run.replays),
        run.state,
    )
