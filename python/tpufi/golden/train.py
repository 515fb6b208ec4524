# SPDX-License-Identifier: Apache-2.0
"""Trains a golden run, from wherever an earlier attempt stopped."""

import dataclasses
import math
import pathlib
from collections.abc import Iterable

from tpufi.errors import InputError
from tpufi.golden.config import GoldenConfig, environment
from tpufi.golden.folder import GoldenFolder
from tpufi.golden.start import copy_start
from tpufi.progress import Progress
from tpufi.training import Session, state_digest

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
        copy_start(config.start, source, folder)

    lines = config.first_step + len(folder.read_lines("steps.jsonl"))
    done = max([0, *(c for c in folder.checkpoints() if c <= lines)])
    if done >= steps:
        return session
    workload = session.program.workload
    state = folder.load(workload, done) if done else session.initial_state()
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
