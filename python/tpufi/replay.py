# SPDX-License-Identifier: Apache-2.0
"""Replays one injection from the state of a golden run."""

import dataclasses
import math
import pathlib

import numpy as np

from tpufi.descriptor import Descriptor, Struck, read_record, replacing
from tpufi.errors import InputError
from tpufi.golden import GoldenFolder, open_golden
from tpufi.injection import Injection
from tpufi.outcome import Point, classify
from tpufi.progress import Progress
from tpufi.replay_record import ReplayRecord
from tpufi.sites import Site
from tpufi.training import Session, State, state_digest


@dataclasses.dataclass(frozen=True)
class ReplayResult:
    """What a replay showed.

    Args:
      outcome: class, see `tpufi.outcome`.
      first: number of the injected step since the start of training.
      faulty: the steps from the injected one on.
      golden: the golden run's steps from the same one on.
      paths: the record files.
    """

    outcome: str
    first: int
    faulty: tuple[Point, ...]
    golden: tuple[Point, ...]
    paths: tuple[pathlib.Path, ...]


def replay(
    injection: Injection,
    golden: str | pathlib.Path,
    *,
    name: str,
    out: str | pathlib.Path = ".",
    epoch: int | None = None,
    step: int | None = None,
    horizon: int | None = None,
    with_fault: bool = True,
    session: Session | None = None,
) -> ReplayResult:
    """Inject one fault into a training run and follow it.

    The run is entered right before the struck step, from the golden run's checkpoints;
    that its state is the golden one is verified by digest. It ends at the horizon or at
    the first non-finite loss.

    Args:
      injection: the fault.
      golden: folder of the golden run.
      name: name of the injection, part of the record's file names.
      out: folder for the record files.
      epoch: overrides the injection's epoch.
      step: overrides the injection's step.
      horizon: steps to run, the struck one included; default: to the golden run's end.
      with_fault: False is the control, the same program without the fault.
      session: a session of the golden run, to reuse its compiled program.

    Raises:
      InputError: the injection does not fit the workload or the golden run, or the
        state of the golden run cannot be reproduced here.
      RuntimeError: the fault did not strike what it names.
    """
    folder, session = open_golden(golden, session)
    config, _ = folder.read_manifest()
    _check_fits(injection, config)
    site, descriptor = describe(injection, session)
    epoch = injection.target_epoch if epoch is None else epoch
    step = injection.target_step if step is None else step
    first = _step_number(session, epoch, step)
    curve = folder.read_lines("steps.jsonl")
    if first >= len(curve):
        raise InputError(
            f"{folder.path}: the golden run has {len(curve)} steps and does not reach "
            f"epoch {epoch} step {step} (step {first} of training); continue it with "
            f"tools/golden.py --steps {first + 1}, or choose --epoch and --step"
        )
    last = first + horizon if horizon else len(curve)
    state = enter(folder, session, first, curve)

    stem = f"replay_{injection.model}_{name}" + ("" if with_fault else "_control")
    epochs = -(-max(last, len(curve)) // session.steps_per_epoch)
    points: list[Point] = []
    with ReplayRecord(
        pathlib.Path(out), stem, epochs, session.steps_per_epoch
    ) as record:
        record.start(injection, epoch, step, f"golden step {first}")
        lines = _golden_head(record, session, first, curve)
        progress = Progress(stem, last - first)
        for number in progress.steps(range(first, last)):
            strikes = number == first and with_fault
            result = session.step(state, number, descriptor if strikes else None)
            state = result.state
            fault = None
            if strikes:
                bits = golden_bits(injection, site, read_record(result.record))
                fault = record.fault(injection, site, bits, injection.words(site.dtype))
            point = Point(result.loss, result.accuracy, state_digest(state))
            points.append(point)
            golden_loss = curve[number]["loss"] if number < len(curve) else None
            entry = {**dataclasses.asdict(point), "golden_loss": golden_loss}
            record.step(*divmod(number, session.steps_per_epoch), entry, fault)
            lines.append(entry)
            progress.note(loss=point.loss, golden=golden_loss or math.nan)
            finite = math.isfinite(point.loss)
            if finite and (number + 1) % session.steps_per_epoch == 0:
                finite = _end_epoch(record, session, state, number, lines)
                lines = []
            if not finite:
                break
        reference = tuple(
            Point(e["loss"], e["accuracy"], e["state"]) for e in curve[first:last]
        )
        outcome = classify(points, reference, ended_early=not finite)
        record.end(outcome, not_finite=not finite)
    return ReplayResult(outcome, first, tuple(points), reference, record.paths)


def describe(injection: Injection, session: Session) -> tuple[Site, Descriptor]:
    """Return the struck site and the descriptor of an injection."""
    table = session.program.table
    site = injection.resolve(table)
    if injection.target_worker >= session.program.replicas:
        raise InputError(
            f"target_worker {injection.target_worker}: the golden run has replicas 0 "
            f"to {session.program.replicas - 1}; choose one of them"
        )
    return site, replacing(
        table.id_of(site.name),
        injection.target_worker,
        injection.flat_positions(site.shape),
        injection.words(site.dtype),
    )


def enter(
    folder: GoldenFolder, session: Session, number: int, curve: list[dict]
) -> State:
    """Return the golden state before step `number`, verified by its digest."""
    start = max([0, *(c for c in folder.checkpoints() if c <= number)])
    state = (
        folder.load(session.program.workload, start)
        if start
        else session.initial_state()
    )
    walk = Progress("golden state", number - start)
    for i in walk.steps(range(start, number)):
        state = session.step(state, i).state
    if number and state_digest(state) != curve[number - 1]["state"]:
        _, manifest = folder.read_manifest()
        trained = {
            key: value
            for key, value in manifest["environment"].items()
            if not key.endswith("digest")
        }
        raise InputError(
            f"{folder.path}: the state before step {number} is not bit-identical to "
            f"the golden run's, which was trained with {trained}; use the same set-up, "
            "or train a new golden run here"
        )
    return state


def golden_bits(
    injection: Injection, site: Site, rows: tuple[Struck, ...]
) -> np.ndarray:
    """Return the struck elements' bits before the fault, in the injection's order.

    Raises:
      RuntimeError: fewer elements were struck than the injection names.
    """
    struck = sum(row.count for row in rows)
    if struck != len(injection.inj_pos):
        raise RuntimeError(
            f"the fault at {site.name} struck {struck} of {len(injection.inj_pos)} "
            "positions: it did not become active as described"
        )
    golden = np.empty(struck, np.uint64)
    order = np.argsort(injection.flat_positions(site.shape), kind="stable")
    golden[order] = np.concatenate([row.golden for row in rows])
    return golden


def _check_fits(injection: Injection, config) -> None:
    if injection.model != config.workload:
        raise InputError(
            f"the injection is for {injection.model}, the golden run of "
            f"{config.workload}; name a golden run of {injection.model} with --golden"
        )
    if injection.learning_rate != config.learning_rate:
        raise InputError(
            f"the injection has learning_rate {injection.learning_rate}, the golden "
            f"run {config.learning_rate}; train a golden run with tools/golden.py "
            f"--learning-rate {injection.learning_rate}"
        )


def _step_number(session: Session, epoch: int, step: int) -> int:
    if step >= session.steps_per_epoch:
        raise InputError(
            f"step {step}: an epoch of {session.batches.dataset.name} has steps 0 to "
            f"{session.steps_per_epoch - 1} at this batch; choose one with --step"
        )
    return epoch * session.steps_per_epoch + step


def _golden_head(
    record: ReplayRecord, session: Session, first: int, curve: list[dict]
) -> list[dict]:
    """Write the epoch's steps before the struck one, which are the golden run's."""
    begin = first - first % session.steps_per_epoch
    lines = []
    for number in range(begin, first):
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
