# SPDX-License-Identifier: Apache-2.0
"""The state of a training run, out of a checkpoint, and a golden run from there."""

import dataclasses
import pathlib
import re
from collections.abc import Mapping

import numpy as np

from tpufi.contrib.isca23.checkpoint.object_graph import Checkpoint, Variable
from tpufi.errors import InputError
from tpufi.golden import GoldenConfig, GoldenFolder, Start
from tpufi.golden.config import environment
from tpufi.io import atomic_write
from tpufi.messages import show_path
from tpufi.training import Session, State, state_digest
from tpufi.training.state import from_arrays
from tpufi.workload import Workload

_KEY = "imported"
# What Keras 2 calls the slots of its Adam.
_SLOTS = {"m": "first_moment", "v": "second_moment"}
_SOME = 3


@dataclasses.dataclass(frozen=True)
class Origin:
    """Where an imported state comes from; kept in the manifest.

    Args:
      checkpoint: path of the checkpoint as the user gave it.
      sha256: digest of its files.
      matched: how variables and weights were matched: `by order` or the mapping file.
      slots: where the optimiser slots come from.
      updates: where the number of updates comes from.
      ignored: paths of the checkpoint that were left out.
    """

    checkpoint: str
    sha256: str
    matched: str
    slots: str
    updates: str
    ignored: tuple[str, ...] = ()


def imported_state(
    checkpoint: Checkpoint,
    assignment: Mapping[str, Variable],
    workload: Workload,
    updates: int,
) -> tuple[State, str]:
    """Return the state and a note on where its optimiser slots come from.

    Args:
      checkpoint: gives the values.
      assignment: variable of each weight.
      workload: what is trained.
      updates: updates done; Adam's bias correction and the schedule go on from there.

    Raises:
      InputError: another type than the workload's, a value that is not finite, or slots
        that are there for some weights only or are not the optimiser's.
    """
    where = show_path(checkpoint.prefix)
    arrays: dict[str, np.ndarray] = {"updates": np.array(updates, np.int64)}
    for weight in workload.parameters:
        arrays[f"parameters/{weight.name}"] = checkpoint.value(
            assignment[weight.name].path
        )
    for weight in workload.statistics:
        arrays[f"statistics/{weight.name}"] = checkpoint.value(
            assignment[weight.name].path
        )
    keys = _slot_keys(where, assignment, workload)
    for weight in workload.parameters:
        for slot in workload.optimizer.slots():
            key = keys.get((weight.name, slot))
            arrays[f"slots/{weight.name}/{slot}"] = (
                checkpoint.value(key)
                if key is not None
                else np.zeros(weight.shape, workload.dtype)
            )
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise InputError(
                f"{where}: {name} has elements that are Inf or NaN; import a "
                "checkpoint of a run without a fault"
            )
    try:
        state = from_arrays(workload, arrays)
    except ValueError as error:
        raise InputError(
            f"{where}: {error}; import a checkpoint of that workload"
        ) from None
    if not workload.optimizer.slots():
        return state, "the optimiser has no slots"
    if not keys:
        return state, "slots are zero: the checkpoint has none"
    return state, "slots are the checkpoint's"


def updates_of(checkpoint: Checkpoint, steps_per_epoch: int, given: int | None) -> int:
    """Return how many updates a checkpoint has behind it.

    Args:
      checkpoint: its optimiser's counter, or else its name `epoch_<last epoch>`.
      steps_per_epoch: steps of an epoch.
      given: the user's number; it wins.

    Raises:
      InputError: counter and name disagree, there is neither, or it is 0.
    """
    if given is not None:
        return given
    name = re.fullmatch(r"epoch_(\d+)", checkpoint.prefix.name)
    named = (int(name[1]) + 1) * steps_per_epoch if name else None
    counted = checkpoint.iterations
    where = show_path(checkpoint.prefix)
    if counted is None and named is None:
        raise InputError(
            f"{where}: neither an optimiser's counter nor the name epoch_<number> "
            "tells how many updates it has behind it; give --updates"
        )
    if None not in (counted, named) and counted != named:
        raise InputError(
            f"{where}: its optimiser has counted {counted} updates, but after epoch "
            f"{name[1]} of {steps_per_epoch} steps they are {named}; say which with "
            "--updates, or mend --steps-per-epoch"
        )
    updates = named if counted is None else counted
    if updates < 1:
        raise InputError(
            f"{where}: has {updates} updates behind it, which is no state to go on "
            "from; give --updates if it has more"
        )
    return updates


def import_into(
    path: str | pathlib.Path,
    config: GoldenConfig,
    session: Session,
    state: State,
    origin: Origin,
) -> GoldenConfig:
    """Write a golden run that starts from the state; return its configuration.

    The folder appears by renaming, so it is whole or absent. If it holds the same
    import already, it is left alone.

    Args:
      path: folder of the golden run.
      config: its configuration without a start.
      session: its session.
      state: the state; its number of updates is the number of the first step.
      origin: where the state comes from.

    Raises:
      InputError: the folder holds something else.
    """
    path = pathlib.Path(path)
    updates, digest = int(state.updates), state_digest(state)
    start = Start(updates, digest, updates, digest, run=config)
    config = dataclasses.replace(config, start=start)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        _check_same(path, config, origin)
        return config
    with atomic_write(path, sole_writer=True) as scratch:
        folder = GoldenFolder(scratch)
        notes = {_KEY: dataclasses.asdict(origin)}
        folder.write_manifest(
            config, environment(session), session.steps_per_epoch, **notes
        )
        folder.save(state)
    return config


def _slot_keys(
    where: str, assignment: Mapping[str, Variable], workload: Workload
) -> dict[tuple[str, str], str]:
    """Return the key of each slot by weight and our name of the slot; empty if none."""
    expected = {
        (w.name, slot)
        for w in workload.parameters
        for slot in workload.optimizer.slots()
    }
    found = {
        (weight, _SLOTS.get(slot, slot)): key
        for weight, variable in assignment.items()
        for slot, key in variable.slots.items()
    }
    surplus = sorted("/".join(pair) for pair in found.keys() - expected)
    missing = (
        sorted("/".join(pair) for pair in expected - found.keys()) if found else []
    )
    if surplus or missing:
        raise InputError(
            f"{where}: optimiser slots do not fit {workload.name}: expected "
            f"{', '.join(workload.optimizer.slots()) or 'none'} of each weight; "
            f"missing: {', '.join(missing[:_SOME]) or 'none'} ({len(missing)}); "
            f"surplus: {', '.join(surplus[:_SOME]) or 'none'} ({len(surplus)}); leave "
            "slots out with --ignore"
        )
    return found


def _check_same(path: pathlib.Path, config: GoldenConfig, origin: Origin) -> None:
    found, manifest = GoldenFolder(path).read_manifest()
    before = manifest.get(_KEY)
    if found != config or before is None or before["sha256"] != origin.sha256:
        raise InputError(
            f"{show_path(path)}: holds another golden run than this import with these "
            "options; choose another folder"
        )
