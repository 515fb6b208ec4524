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

import numpy as np

from tpufi.errors import InputError
from tpufi.golden.config import GoldenConfig, read_config
from tpufi.golden.sealed_text import seal, unseal
from tpufi.messages import one_line, show_path
from tpufi.training.state import State, from_arrays, state_digest, to_arrays
from tpufi.workload import Workload

_FORMAT = 2
_UNSEALED = 1  # The format before, without checksums.
_INDENT = 2
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
        self._replace("manifest.json", lambda f: f.write(text.encode()))

    def read_manifest(self) -> tuple[GoldenConfig, dict]:
        """Return the configuration and the whole manifest.

        Raises:
          InputError: there is no golden run here, or the manifest is damaged.
        """
        file = self.path / "manifest.json"
        try:
            text = file.read_text().removesuffix("\n")
            manifest = unseal(text, _INDENT, needed=False)
            if manifest["format"] not in (_FORMAT, _UNSEALED):
                raise ValueError(f"format {manifest['format']}")
            if manifest["format"] == _FORMAT:
                unseal(text, _INDENT)
            return read_config(manifest["config"]), manifest
        except FileNotFoundError:
            raise InputError(
                f"{self.path}: no golden run (manifest.json is missing); make one with "
                f"tpufi golden --out {self.path}"
            ) from None
        except (ValueError, KeyError, TypeError, RecursionError, OSError) as error:
            raise InputError(
                f"{show_path(file)}: damaged manifest ({one_line(error)}); delete the "
                "folder and train the golden run again"
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
        expected = self._digest_after(steps)
        try:
            with np.load(file, allow_pickle=False) as arrays:
                state = from_arrays(workload, dict(arrays))
            if expected is not None and state_digest(state) != expected:
                raise ValueError("it is not the state of the run's curve")
        except Exception as error:
            # numpy raises nearly anything for an archive that is damaged.
            raise InputError(
                f"{show_path(file)}: damaged checkpoint ({one_line(error)}); delete "
                "the file: an earlier checkpoint or a new run of tpufi golden "
                "replaces it"
            ) from None
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
        *lines, _ = file.read_bytes().split(b"\n")  # The last was cut off, or is empty.
        entries: list[dict] = []
        for number, line in enumerate(lines, start=1):
            try:
                entry = unseal(line.decode(), needed=manifest["format"] != _UNSEALED)
            except (ValueError, RecursionError) as error:
                raise InputError(
                    f"{show_path(file)}:{number}: damaged line ({one_line(error)}); "
                    "restore the file from a copy, or train the golden run again in a "
                    "new folder"
                ) from None
            entries.append(entry)
        return entries

    def curve(self) -> dict[int, dict]:
        """Return the entries of `steps.jsonl` by the number of the step."""
        return {entry["number"]: entry for entry in self.read_lines("steps.jsonl")}

    def keep_lines(self, name: str, key: str, bound: int) -> None:
        """Drop entries whose `key` is `bound` or more."""
        kept = [e for e in self.read_lines(name) if e[key] < bound]
        text = "".join(seal(e) + "\n" for e in kept)
        self._replace(name, lambda f: f.write(text.encode()))

    def append(self, name: str, entry: dict) -> None:
        """Append one entry."""
        with open(self.path / name, "a") as file:
            file.write(seal(entry) + "\n")

    def _replace(self, name: str, write) -> None:
        partial = self.path / f".{name}.partial"
        with open(partial, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, self.path / name)
