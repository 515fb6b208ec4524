# SPDX-License-Identifier: Apache-2.0
"""Replays one injection from the state of a golden run."""

import dataclasses
import itertools
import math
import pathlib
from collections.abc import Callable

from tpufi.experiment.follow import Course, Follower, Seen
from tpufi.experiment.fork import GoldenWalk, step_number
from tpufi.experiment.inject import NotActive, check_fits, fault_of
from tpufi.experiment.judge import Judge, golden_accuracy, other_points, points
from tpufi.experiment.record import ReplayRecord, hit_of
from tpufi.faults.injection_file import InjectionFile
from tpufi.golden import GoldenFolder, open_golden
from tpufi.models import any_workload
from tpufi.outcomes.outcome import Point, Validation, classify
from tpufi.outcomes.outcome_thresholds import read_thresholds
from tpufi.progress import Progress
from tpufi.training import Session, State
from tpufi.user_file import short_name


@dataclasses.dataclass(frozen=True)
class ReplayResult:
    """What a replay showed.

    Args:
      outcome: class, see `tpufi.outcomes.outcome`.
      first: number of the injected step since the start of training.
      faulty: the steps from the injected one on.
      golden: the golden run's steps from the same one on.
      paths: the record files.
      others: the same steps of the golden runs with other seeds.
      validation: test accuracies after the last step; None: not looked at.
    """

    outcome: str
    first: int
    faulty: tuple[Point, ...]
    golden: tuple[Point, ...]
    paths: tuple[pathlib.Path, ...]
    others: tuple[tuple[Point, ...], ...] = ()
    validation: Validation | None = None


def replay(
    injection: InjectionFile,
    golden: str | pathlib.Path,
    *,
    name: str,
    out: str | pathlib.Path = ".",
    epoch: int | None = None,
    step: int | None = None,
    horizon: int | None = None,
    with_fault: bool = True,
    session: Session | None = None,
    judge: Judge | None = None,
    observe: Callable[[int, State], None] | None = None,
    rows: int = 1,
) -> ReplayResult:
    """Inject one fault into a training run and follow it.

    The run is entered right before the faulty step, from the golden run's checkpoints;
    that its state is the golden one is verified by digest. It ends at the horizon or at
    the first non-finite loss.

    Args:
      injection: the fault.
      golden: folder of the golden run.
      name: name of the injection, part of the record's file names.
      out: folder for the record files.
      epoch: overrides the injection's epoch.
      step: overrides the injection's step.
      horizon: steps to run, the faulty one included; default: to the golden run's end.
      with_fault: False is the control, the armed program without the fault; in graph
        mode it has the golden run's bits.
      session: a session of the golden run, to reuse its compiled program.
      judge: how the outcome is judged; default: by the golden run and the thresholds of
        tpufi, without looking at the test images.
      observe: called after every step with its number and the new state.
      rows: at least so many rows of the descriptor; replays that share a session
        and this number, which none exceeds, share one compiled program.

    Raises:
      InputError: the injection does not fit the workload or the golden run, the golden
        state cannot be reproduced here, or what `judge` needs is not there.
      RuntimeError: the fault was not injected into all that it names.
    """
    judge = judge or Judge(read_thresholds())
    config, _ = GoldenFolder(pathlib.Path(golden)).read_manifest()
    check_fits(injection, config)
    injection.resolve(any_workload(config.workload).sites(config.per_replica))
    folder, session = open_golden(golden, session, {injection.site_name})
    site, fault = fault_of(injection, session)
    fault = dataclasses.replace(
        fault,
        epoch=fault.epoch if epoch is None else epoch,
        step=fault.step if step is None else step,
    )
    curve = folder.curve()
    first = step_number(folder, session, fault.epoch, fault.step, curve)
    end = max(curve) + 1
    last = first + horizon if horizon else end
    walk = GoldenWalk(folder, session, shown=True)
    follower = Follower(session, walk, rows=rows)
    course = Course()
    try:
        fault = follower.filled(fault)
    except NotActive as problem:
        raise RuntimeError(f"{problem}: the fault cannot become active") from None
    walk.state(first)

    stem = f"replay_{short_name(injection.model)}_{name}" + (
        "" if with_fault else "_control"
    )
    steps = session.steps_per_epoch
    epochs = -(-max(last, end) // steps)
    progress = Progress(stem, last - first)
    with ReplayRecord(pathlib.Path(out), stem, epochs, steps) as record:
        where = fault.epoch, fault.step
        record.start(injection, *where, f"golden step {first}", config.placement)
        lines = _golden_head(record, session, first, curve)
        ticks = progress.steps(itertools.count())

        def write(seen: Seen) -> bool:
            next(ticks)
            number, result = seen.number, seen.result
            hit = None
            if seen.fault is not None:
                found = hit_of(injection, seen.fault, site, result.record)
                hit = record.fault(injection, site, found)
            point = course.faulty[-1]
            if observe is not None:
                observe(number, result.state)
            golden_loss = curve[number]["loss"] if number in curve else None
            entry = {**dataclasses.asdict(point), "golden_loss": golden_loss}
            record.step(*divmod(number, steps), entry, hit)
            lines.append(entry)
            progress.note(loss=point.loss, golden=golden_loss or math.nan)
            finite = math.isfinite(point.loss)
            if finite and (number + 1) % steps == 0:
                finite = _end_epoch(record, session, result.state, number, lines)
                lines.clear()
            return finite

        try:
            follower.follow(fault, last - first, course, write, with_fault)
        except NotActive as problem:
            raise RuntimeError(
                f"{problem}: the fault did not become active as described"
            ) from None
        finally:
            ticks.close()
        faulty, finite = course.faulty, course.is_finite
        others: tuple[tuple[Point, ...], ...] = ()
        validation = None
        if finite:
            folders = tuple(judge.others())
            others = other_points(folders, config.workload, range(first, last))
            if judge.validate:
                finite, validation = _validate(
                    session, course.last, last, folder, folders
                )
        reference = points(folder, curve, range(first, last))
        outcome = classify(
            faulty,
            reference,
            judge.limits,
            others=others,
            validation=validation,
            ended_early=not finite,
        )
        record.end(outcome, not finite, judge.limits, 1 + len(others), validation)
    return ReplayResult(
        outcome, first, tuple(faulty), reference, record.paths, others, validation
    )


def _validate(
    session: Session,
    state: State,
    steps: int,
    folder: GoldenFolder,
    others: tuple[pathlib.Path, ...],
) -> tuple[bool, Validation | None]:
    """Tell whether the validation loss is finite, and if so return the accuracies."""
    loss, accuracy = session.evaluate(state)
    if not math.isfinite(loss):
        return False, None
    folders = (folder, *map(GoldenFolder, others))
    golden = tuple(golden_accuracy(f, session, steps) for f in folders)
    return True, Validation(accuracy, golden)


def _golden_head(
    record: ReplayRecord, session: Session, first: int, curve: dict[int, dict]
) -> list[dict]:
    """Write the epoch's steps before the faulty one, which are the golden run's."""
    begin = first - first % session.steps_per_epoch
    lines = []
    # A run that started within the epoch has only the later of these steps.
    for number in range(max(begin, min(curve)), first):
        entry = {k: curve[number][k] for k in ("loss", "accuracy", "state")}
        entry["golden_loss"] = entry["loss"]
        record.step(*divmod(number, session.steps_per_epoch), entry, None)
        lines.append(entry)
    return lines


def _end_epoch(
    record: ReplayRecord,
    session: Session,
    state: State,
    number: int,
    lines: list[dict],
) -> bool:
    """Write the epoch's means and tell whether the validation loss is finite."""
    loss, accuracy = session.evaluate(state)
    epoch = number // session.steps_per_epoch
    means = {
        f"train_{key}": sum(e[key] for e in lines) / len(lines)
        for key in ("loss", "accuracy")
    }
    validation = {"valid_loss": loss, "valid_accuracy": accuracy}
    record.epoch(epoch, {"epoch": epoch, **means, **validation})
    return math.isfinite(loss)
