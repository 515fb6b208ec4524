# SPDX-License-Identifier: Apache-2.0
"""Starting a golden run from a checkpoint of another one."""

import pathlib

import tensorflow as tf

from tpufi.errors import InputError
from tpufi.golden.config import Start
from tpufi.golden.folder import GoldenFolder
from tpufi.models import workload
from tpufi.training import State, state_digest


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
    state = folder.load(workload(config.workload), step)
    digest = state_digest(_counting(state, counted))
    return Start(counted, digest, step, last["state"], config)


def copy_start(
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
    state = found.load(workload(start.run.workload), start.source_step)
    state = _counting(state, start.step)
    if state_digest(state) != start.state:
        raise InputError(
            f"{source}: the state after {start.source_step} steps is not the one that "
            f"{folder.path} starts from; choose another folder for the new run"
        )
    folder.save(state)


def _counting(state: State, updates: int) -> State:
    return state._replace(updates=tf.constant(updates, tf.int64))
