# SPDX-License-Identifier: Apache-2.0
"""The folder of a golden run: manifest, curve and checkpoints, safe against kills.

    manifest.json           configuration and environment
    steps.jsonl             a line per step: loss, accuracy, digest of the new state
    epochs.jsonl            a line per epoch: train and validation means
    state_<steps>.npz       checkpoint after that many steps

Checkpoints and the manifest appear by renaming, so they are whole or absent. Lines that
a kill cut off, or that are newer than the last checkpoint, are dropped on resuming.
Manifest and lines carry checksums (runs of format 1 have none); a checkpoint is held
against the digest that its line has of the state.
"""

import dataclasses
import os
import pathlib
import re
from contextlib import AbstractContextManager

import numpy as np

from tpufi.data.npz_arrays import read_arrays
from tpufi.errors import InputError
from tpufi.golden.config import GoldenConfig, read_config
from tpufi.golden.sealed_text import seal, unseal
from tpufi.io import atomic_write, open_to_write
from tpufi.messages import quote, show_path
from tpufi.training.state import State, from_arrays, state_digest, to_arrays
from tpufi.untrusted import read_bounded, reading
from tpufi.workload import Workload

_FORMAT = 2
_UNSEALED = 1  # The format before, without checksums.
_INDENT = 2
_LARGEST = 1 << 40
_LARGEST_TEXT = 1 << 30
_CHECKPOINT = re.compile(r"state_(\d{8})\.npz")


@dataclasses.dataclass(frozen=True)
class GoldenFolder:
    """Reads and writes the files of one golden run.

    Args:
      path: the folder.
    """

    path: pathlib.Path

    def write_manifest(
        self,
        config: GoldenConfig,
        environment: dict,
        steps_per_epoch: int,
        **notes: object,
    ) -> None:
        """Write the manifest of a new run; `notes` are further entries."""
        self.path.mkdir(parents=True, exist_ok=True)
        manifest = {
            "format": _FORMAT,
            "config": dataclasses.asdict(config),
            "environment": environment,
            "steps_per_epoch": steps_per_epoch,
            **notes,
        }
        text = seal(manifest, _INDENT) + "\n"
        with self._writing("manifest.json") as scratch:
            scratch.write_bytes(text.encode())

    def read_manifest(self) -> tuple[GoldenConfig, dict]:
        """Return the configuration and the whole manifest.

        Raises:
          InputError: there is no golden run here, or the manifest is damaged.
        """
        file = self.path / "manifest.json"
        if not file.exists():
            raise InputError(
                f"{show_path(self.path)}: no golden run (manifest.json is missing); "
                f"make one with tpufi golden --out {show_path(self.path)}"
            )
        remedy = "delete the folder and train the golden run again"
        with reading(file, remedy, "damaged manifest"):
            text = read_bounded(file, _LARGEST_TEXT).decode().removesuffix("\n")
            manifest = unseal(text, _INDENT, needed=False)
            if manifest["format"] not in (_FORMAT, _UNSEALED):
                raise ValueError(f"format {manifest['format']}")
            if manifest["format"] == _FORMAT:
                unseal(text, _INDENT)
            if type(manifest["steps_per_epoch"]) is not int:
                raise ValueError("steps_per_epoch is not a number")
            if not isinstance(manifest.get("environment", {}), dict):
                raise ValueError("environment is not an object")
            return read_config(manifest["config"]), manifest

    def checkpoints(self) -> list[int]:
        """Return the numbers of steps after which there is a checkpoint, ascending."""
        matches = map(_CHECKPOINT.fullmatch, os.listdir(self.path))
        return sorted(int(m.group(1)) for m in matches if m)

    def save(self, state: State) -> None:
        """Write the checkpoint of a state."""
        arrays = to_arrays(state)
        name = f"state_{int(arrays['updates']):08d}.npz"
        with self._writing(name) as scratch:
            np.savez(scratch, **arrays)

    def load(self, workload: Workload, steps: int) -> State:
        """Return the state after `steps` steps, from its checkpoint.

        Raises:
          InputError: the file is damaged or of another workload.
        """
        file = self.path / f"state_{steps:08d}.npz"
        expected = self._digest_after(steps)
        remedy = (
            "delete the file: an earlier checkpoint or a new run of tpufi golden "
            "replaces it"
        )
        with reading(file, remedy, "damaged checkpoint"):
            state = from_arrays(workload, read_arrays(file, most=_LARGEST))
            if expected is not None and state_digest(state) != expected:
                raise ValueError("it is not the state of the run's curve")
        return state

    def _digest_after(self, steps: int) -> str | None:
        """Return the digest of the state after `steps` steps, if it was recorded."""
        if not (self.path / "manifest.json").exists():
            return None  # Checkpoints alone, as benchmarks keep them.
        config, _ = self.read_manifest()
        if config.start and steps == config.first_step:
            return config.start.state
        entry = self.curve().get(steps - 1)
        return entry and entry["state"]

    def read_lines(self, name: str) -> list[dict]:
        """Return the entries of `steps.jsonl` or `epochs.jsonl` that are whole.

        Raises:
          InputError: a line is damaged, other than by the end of the file.
        """
        file = self.path / name
        if not file.exists():
            return []
        _, manifest = self.read_manifest()
        remedy = (
            "restore the file from a copy, or train the golden run again in a new "
            "folder"
        )
        with reading(file, remedy):
            content = read_bounded(file, _LARGEST_TEXT)
        *lines, _ = content.split(b"\n")  # The last was cut off, or is empty.
        sealed = manifest["format"] != _UNSEALED
        entries: list[dict] = []
        for number, line in enumerate(lines, start=1):
            with reading(f"{show_path(file)}:{number}", remedy, "damaged line"):
                entries.append(_typed(unseal(line.decode(), needed=sealed)))
        return entries

    def curve(self) -> dict[int, dict]:
        """Return the entries of `steps.jsonl` by the number of the step."""
        return {entry["number"]: entry for entry in self.read_lines("steps.jsonl")}

    def keep_lines(self, name: str, key: str, bound: int) -> None:
        """Drop entries whose `key` is `bound` or more."""
        kept = [e for e in self.read_lines(name) if e[key] < bound]
        text = "".join(seal(e) + "\n" for e in kept)
        with self._writing(name) as scratch:
            scratch.write_bytes(text.encode())

    def append(self, name: str, entry: dict) -> None:
        """Append one entry."""
        with open_to_write(self.path / name, "a") as file:
            file.write(seal(entry) + "\n")

    def _writing(self, name: str) -> AbstractContextManager[pathlib.Path]:
        return atomic_write(self.path / name, sole_writer=True)


def _typed(entry: dict) -> dict:
    """Return an entry of a curve, of whose types all rely."""
    for key in ("number", "epoch"):
        if type(entry.get(key, 0)) is not int:
            raise ValueError(f"{key} is not a number")
    for key, value in entry.items():
        if key.endswith(("loss", "accuracy")) and not isinstance(value, int | float):
            raise ValueError(f"{quote(key)} is not a number")
    if not isinstance(entry.get("state", ""), str):
        raise ValueError("state is not a digest")
    return entry
