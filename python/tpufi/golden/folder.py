# SPDX-License-Identifier: Apache-2.0
"""The folder of a golden run: manifest, curve and checkpoints, safe against kills.

    manifest.json           configuration and environment
    steps.jsonl             a line per step: loss, accuracy, digest of the new state
    epochs.jsonl            a line per epoch: train and validation means
    state_<steps>.npz       checkpoint after that many steps

Checkpoints and the manifest appear by renaming, so they are whole or absent. Lines that
a kill cut off, or that are newer than the last checkpoint, are dropped on resuming.
"""

import dataclasses
import json
import os
import pathlib
import re
import zipfile

import numpy as np

from tpufi.errors import InputError
from tpufi.golden.config import GoldenConfig, read_config
from tpufi.training.state import State, from_arrays, to_arrays
from tpufi.workload import Workload

_CHECKPOINT = re.compile(r"state_(\d{8})\.npz")


@dataclasses.dataclass(frozen=True)
class GoldenFolder:
    """Reads and writes the files of one golden run.

    Args:
      path: the folder.
    """

    path: pathlib.Path

    def write_manifest(
        self, config: GoldenConfig, environment: dict, steps_per_epoch: int
    ) -> None:
        """Write the manifest of a new run."""
        self.path.mkdir(parents=True, exist_ok=True)
        manifest = {
            "format": 1,
            "config": dataclasses.asdict(config),
            "environment": environment,
            "steps_per_epoch": steps_per_epoch,
        }
        text = json.dumps(manifest, indent=2) + "\n"
        self._replace("manifest.json", lambda f: f.write(text.encode()))

    def read_manifest(self) -> tuple[GoldenConfig, dict]:
        """Return the configuration and the whole manifest.

        Raises:
          InputError: there is no golden run here, or the manifest is damaged.
        """
        file = self.path / "manifest.json"
        try:
            manifest = json.loads(file.read_text())
            return read_config(manifest["config"]), manifest
        except FileNotFoundError:
            raise InputError(
                f"{self.path}: no golden run (manifest.json is missing); make one with "
                f"tpufi golden --out {self.path}"
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{file}: damaged manifest ({error}); delete the folder and train the "
                "golden run again"
            ) from None

    def checkpoints(self) -> list[int]:
        """Return the numbers of steps after which there is a checkpoint, ascending."""
        matches = map(_CHECKPOINT.fullmatch, os.listdir(self.path))
        return sorted(int(m.group(1)) for m in matches if m)

    def save(self, state: State) -> None:
        """Write the checkpoint of a state."""
        arrays = to_arrays(state)
        name = f"state_{int(arrays['updates']):08d}.npz"
        self._replace(name, lambda f: np.savez(f, **arrays))

    def load(self, workload: Workload, steps: int) -> State:
        """Return the state after `steps` steps, from its checkpoint.

        Raises:
          InputError: the file is damaged or of another workload.
        """
        file = self.path / f"state_{steps:08d}.npz"
        try:
            with np.load(file, allow_pickle=False) as arrays:
                return from_arrays(workload, dict(arrays))
        except (ValueError, OSError, zipfile.BadZipFile, EOFError) as error:
            raise InputError(
                f"{file}: damaged checkpoint ({error}); delete the file: an earlier "
                "checkpoint or a new run of tpufi golden replaces it"
            ) from None

    def read_lines(self, name: str) -> list[dict]:
        """Return the entries of `steps.jsonl` or `epochs.jsonl` that are whole."""
        file = self.path / name
        entries: list[dict] = []
        if not file.exists():
            return entries
        for line in file.read_bytes().splitlines():
            try:
                entries.append(json.loads(line))
            except ValueError:
                break  # Cut off by a kill or a loss of power.
        return entries

    def curve(self) -> dict[int, dict]:
        """Return the entries of `steps.jsonl` by the number of the step."""
        return {entry["number"]: entry for entry in self.read_lines("steps.jsonl")}

    def keep_lines(self, name: str, key: str, bound: int) -> None:
        """Drop entries whose `key` is `bound` or more."""
        kept = [e for e in self.read_lines(name) if e[key] < bound]
        text = "".join(json.dumps(e) + "\n" for e in kept)
        self._replace(name, lambda f: f.write(text.encode()))

    def append(self, name: str, entry: dict) -> None:
        """Append one entry."""
        with open(self.path / name, "a") as file:
            file.write(json.dumps(entry) + "\n")

    def _replace(self, name: str, write) -> None:
        partial = self.path / f".{name}.partial"
        with open(partial, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, self.path / name)
