# SPDX-License-Identifier: Apache-2.0
"""Loss curves of the golden runs that a campaign's experiments are compared with."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

from tpufi.campaign.journal.manifest import golden_digest
from tpufi.errors import InputError
from tpufi.golden import GoldenConfig, GoldenFolder
from tpufi.messages import show_path


@dataclasses.dataclass(frozen=True)
class GoldenCurves:
    """Losses of golden runs.

    Args:
      config: of the golden run.
      steps_per_epoch: of the golden run.
      runs: losses by the number of the step, counted over epochs; the golden run
        first, then those of its band.
    """

    config: GoldenConfig
    steps_per_epoch: int
    runs: tuple[Mapping[int, float], ...]

    def losses(self, epoch: int, step: int, count: int) -> list[float]:
        """Return losses of the golden run from a step on, as far as it goes."""
        return self._from(self.runs[0], epoch, step, count)

    def band(
        self, epoch: int, step: int, count: int
    ) -> tuple[list[float], list[float]]:
        """Return least and largest losses of all runs; empty if there is one only."""
        if len(self.runs) == 1:
            return [], []
        parts = [self._from(run, epoch, step, count) for run in self.runs]
        columns = list(zip(*parts, strict=False))
        return [min(c) for c in columns], [max(c) for c in columns]

    def _from(
        self, run: Mapping[int, float], epoch: int, step: int, count: int
    ) -> list[float]:
        first = epoch * self.steps_per_epoch + step
        losses = []
        for number in range(first, first + count):
            if number not in run:
                break
            losses.append(run[number])
        return losses


def read_golden(folders: Sequence[pathlib.Path], digest: str) -> GoldenCurves:
    """Read the curves of golden runs.

    Args:
      folders: of the golden run, then those of its band.
      digest: what the manifest of the campaign holds.

    Raises:
      InputError: a folder is missing or damaged, or holds other runs.
    """
    found = golden_digest(folders)
    if found != digest:
        raise InputError(
            f"{show_path(folders[0])}: not the golden run of this campaign, or not its "
            f"band: digest {found[:12]}, the journal has {digest[:12]}; name the "
            "golden run first, then all runs of its band in their order"
        )
    config, manifest = GoldenFolder(folders[0]).read_manifest()
    curves = [GoldenFolder(folder).curve() for folder in folders]
    return GoldenCurves(
        config,
        manifest["steps_per_epoch"],
        tuple({n: entry["loss"] for n, entry in curve.items()} for curve in curves),
    )


def recorded_folders(
    sessions: Sequence[tuple[Mapping[str, object], float]],
) -> list[pathlib.Path]:
    """Return the folders that the last session names, empty if it names none."""
    for noted, _ in reversed(sessions):
        if isinstance(noted.get("golden"), str):
            return [pathlib.Path(p) for p in (noted["golden"], *noted.get("band", []))]
    return []
