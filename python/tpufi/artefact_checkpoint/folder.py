# SPDX-License-Identifier: Apache-2.0
"""An imported state as a golden run that starts from it, on disk."""

import dataclasses
import pathlib

from tpufi.errors import InputError
from tpufi.golden import GoldenConfig, GoldenFolder, Start
from tpufi.golden.config import environment
from tpufi.io import atomic_write
from tpufi.messages import show_path
from tpufi.training import Session, State, state_digest

_KEY = "imported"


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


def _check_same(path: pathlib.Path, config: GoldenConfig, origin: Origin) -> None:
    found, manifest = GoldenFolder(path).read_manifest()
    before = manifest.get(_KEY)
    if found != config or before is None or before["sha256"] != origin.sha256:
        raise InputError(
            f"{show_path(path)}: holds another golden run than this import with these "
            "options; choose another folder"
        )
