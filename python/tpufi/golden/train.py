# SPDX-License-Identifier: Apache-2.0
"""Trains a golden run from its start, or from wherever an earlier attempt stopped."""

import dataclasses
import math
import pathlib
from collections.abc import Iterable

import tensorflow as tf

from tpufi.errors import InputError
from tpufi.golden.config import GoldenConfig, Start, environment
from tpufi.golden.folder import GoldenFolder
from tpufi.models import any_workload
from tpufi.progress import Progress
from tpufi.training import Session, State, state_digest

# Without these the stored steps are not steps of this run.
_MUST_AGREE = ("data_digest", "sites_digest")


def open_golden(
    path: str | pathlib.Path,
    session: Session | None = None,
    sites: Iterable[str] | None = None,
) -> tuple[GoldenFolder, Session]:
    """Open a golden run and check that it can be continued here.

    Args:
      path: folder of the run.
      session: a session of the same configuration, to reuse its compiled program.
      sites: names of the sites that faults may name, of a new session; None: all.

    Raises:
      InputError: no run, its device is not here, or its data set or sites are not those
        of now.
    """
    folder = GoldenFolder(pathlib.Path(path))
    config, manifest = folder.read_manifest()
    session = session or config.session(sites=sites)
    now = environment(session)
    for key in _MUST_AGREE:
        then = manifest["environment"].get(key)
        if then != now[key]:
            raise InputError(
                f"{folder.path}: {key} of the golden run is {then}, but {now[key]} "
                "here; use the same data and version of tpufi, or train a new run"
            )
    return folder, session


def find_start(
    path: str | pathlib.Path, step: int, counted: int | None = None
) -> Start:
    """Return the start in the state of a golden run after `step` steps.

    Args:
      path: folder of the run.
      step: steps it has done there; it must have a checkpoint after them.
      counted: steps that count as done in the new run; default: the same.

    Raises:
      InputError: there is no run, no such step, no checkpoint after it, or it is
        damaged.
    """
    folder = GoldenFolder(pathlib.Path(path))
    config, _ = folder.read_manifest()
    # A checkpoint without its line is newer than what a kill left of the run.
    last = folder.curve().get(step - 1)
    if last is None or step not in folder.checkpoints():
        known = ", ".join(map(str, folder.checkpoints())) or "none"
        raise InputError(
            f"{folder.path}: no checkpoint after {step} steps; known: {known}; choose "
            f"one of them, or train up to it with tpufi golden --steps {step}"
        )
    counted = step if counted is None else counted
    state = folder.load(any_workload(config.workload), step)
    digest = state_digest(_counting(state, counted))
    return Start(counted, digest, step, last["state"], config)


def train_golden(
    config: GoldenConfig,
    path: str | pathlib.Path,
    steps: int,
    checkpoint_every: int,
    session: Session | None = None,
    source: str | pathlib.Path | None = None,
) -> Session:
    """Train up to `steps` steps; a run that stopped before is continued.

    Args:
      config: what to train.
      path: folder of the run; made if it does not exist.
      steps: steps since the start of training.
      checkpoint_every: steps between checkpoints; the last step has one as well.
      session: a session of the same configuration, to reuse its compiled program.
      source: folder of the run whose state `config.start` names; needed until the
        state has been copied.

    Raises:
      InputError: the folder holds a run of another configuration, the state to start
        from is not there, or the loss is not finite.
    """
    folder = GoldenFolder(pathlib.Path(path))
    if (folder.path / "manifest.json").exists():
        found, _ = folder.read_manifest()
        if found != config:
            field, old, new = _first_difference(found, config)
            raise InputError(
                f"{folder.path}: holds a golden run with {field} {old!r}, not {new!r}; "
                "choose another folder, or the same options to continue it"
            )
        folder, session = open_golden(path, session)
    else:
        session = session or config.session()
        folder.write_manifest(config, environment(session), session.steps_per_epoch)

    if config.start and config.first_step not in folder.checkpoints():
        _copy_start(config.start, source, folder)

    lines = config.first_step + len(folder.read_lines("steps.jsonl"))
    done = max([0, *(c for c in folder.checkpoints() if c <= lines)])
    if done >= steps:
        return session
    if done:
        state = folder.load(session.program.workload, done)
    else:
        state = session.initial_state()
    folder.keep_lines("steps.jsonl", "number", done)
    folder.keep_lines("epochs.jsonl", "epoch", done // session.steps_per_epoch)

    progress = Progress(f"golden {config.workload}", steps, done)
    for number in progress.steps(range(done, steps)):
        result = session.step(state, number)
        state = result.state
        if not math.isfinite(result.loss):
            raise InputError(
                f"golden run: loss is {result.loss} at step {number}; lower "
                f"--learning-rate (now {config.learning_rate})"
            )
        folder.append(
            "steps.jsonl",
            {
                "number": number,
                "loss": result.loss,
                "accuracy": result.accuracy,
                "state": state_digest(state),
            },
        )
        progress.note(loss=result.loss, accuracy=result.accuracy)
        if (number + 1) % session.steps_per_epoch == 0:
            _end_epoch(folder, session, state, number // session.steps_per_epoch)
        if (number + 1) % checkpoint_every == 0 or number + 1 == steps:
            folder.save(state)
    return session


def _copy_start(
    start: Start, source: str | pathlib.Path | None, folder: GoldenFolder
) -> None:
    """Copy the state to start from into the folder of the new run.

    Raises:
      InputError: no source is given, or its state is not the one that `start` names.
    """
    if source is None:
        raise InputError(
            f"{folder.path}: the state that the run starts from is not there yet; name "
            "its golden run with --start-from"
        )
    found = GoldenFolder(pathlib.Path(source))
    state = found.load(any_workload(start.run.workload), start.source_step)
    state = _counting(state, start.step)
    if state_digest(state) != start.state:
        raise InputError(
            f"{source}: the state after {start.source_step} steps is not the one that "
            f"{folder.path} starts from; choose another folder for the new run"
        )
    folder.save(state)


def _counting(state: State, updates: int) -> State:
    return state._replace(updates=tf.constant(updates, tf.int64))


def _end_epoch(folder: GoldenFolder, session: Session, state, epoch: int) -> None:
    # A run that started within the epoch has fewer steps of it.
    begin = epoch * session.steps_per_epoch
    lines = [e for e in folder.read_lines("steps.jsonl") if e["number"] >= begin]
    count = len(lines)
    loss, accuracy = session.evaluate(state)
    folder.append(
        "epochs.jsonl",
        {
            "epoch": epoch,
            "train_loss": sum(e["loss"] for e in lines) / count,
            "train_accuracy": sum(e["accuracy"] for e in lines) / count,
            "valid_loss": loss,
            "valid_accuracy": accuracy,
        },
    )


def _first_difference(a: GoldenConfig, b: GoldenConfig) -> tuple:
    for field in dataclasses.fields(GoldenConfig):
        old, new = getattr(a, field.name), getattr(b, field.name)
        if old != new:
            return field.name, old, new
    raise AssertionError("configurations are equal")
