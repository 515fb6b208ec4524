# SPDX-License-Identifier: Apache-2.0
"""TensorFI's statistics of a campaign: counts, their text, and sums of several."""

import enum
import os
import pathlib
from collections.abc import Sequence

from tpufi.errors import InputError
from tpufi.instrument.injection_record import InjectionRecord
from tpufi.messages import one_line, show_path


class Stats(enum.Enum):
    """What is counted. The first three are TensorFI's."""

    Injected = "Injected"
    Incorrect = "Incorrect"
    Diff = "Diff"
    Runs = "Runs"  # Runs, injected or not.
    Undefined = "Undefined"  # Runs whose difference was NaN; they are incorrect too.


_THEIRS = (Stats.Injected, Stats.Incorrect, Stats.Diff)
_LINE = "-" * 19


class FIStat:
    """Counts of one campaign.

    Args:
      name: stands before the counts in the text.
      fileName: where `writeToFile` writes; None: nowhere.
    """

    def __init__(self, name: str = "", fileName: str | os.PathLike | None = None):
        self.name = name
        self._path = None if fileName is None else pathlib.Path(fileName)
        self.init()

    def init(self) -> None:
        """Set all counts to zero."""
        self.stats = dict.fromkeys(Stats, 0)
        self.stats[Stats.Diff] = 0.0

    def update(self, stat: Stats, value: float = 1) -> None:
        """Add to a count."""
        self.stats[stat] += value

    def getStats(self) -> str:
        """Return the counts that TensorFI has as its text."""
        lines = (f"\n\t{stat.value} : {self.stats[stat]}" for stat in _THEIRS)
        return f"{self.name} {{ {''.join(lines)}\n}}"

    def writeToFile(self) -> None:
        """Write the text between two lines of dashes.

        Raises:
          InputError: there is no file name, or it cannot be written.
        """
        if self._path is None:
            raise InputError("FIStat has no fileName; name one when you make it")
        try:
            self._path.write_text(f"{_LINE}\n{self.getStats()}\n{_LINE}\n")
        except OSError as error:
            raise InputError(
                f"{show_path(self._path)}: {one_line(error)}; name another file"
            ) from None


def collateStats(
    statList: Sequence[FIStat],
    name: str = "Overall",
    fileName: str | os.PathLike | None = None,
) -> FIStat:
    """Return the sums of several campaigns.

    Example:
      >>> a, b = FIStat(), FIStat()
      >>> a.update(Stats.Injected, 2); b.update(Stats.Injected, 3)
      >>> collateStats([a, b]).getStats().split()[:5]
      ['Overall', '{', 'Injected', ':', '5']
    """
    total = FIStat(name, fileName)
    for stats in statList:
        for stat, value in stats.stats.items():
            total.update(stat, value)
    return total


def count_run(
    stats: FIStat,
    difference: float,
    injections: Sequence[InjectionRecord],
    legacy: bool,
) -> None:
    """Count one run.

    Args:
      stats: where.
      difference: what the user's function returned.
      injections: what was injected.
      legacy: count as TensorFI does: runs as injections, NaN as correct.
    """
    faults = len({id(s.fault) for s in injections if s.times})
    stats.update(Stats.Runs)
    stats.update(Stats.Injected, 1 if legacy else faults)
    difference = float(difference)
    undefined = difference != difference
    if undefined:
        stats.update(Stats.Undefined)
    if difference > 0 or (undefined and not legacy):
        stats.update(Stats.Incorrect)
    if difference > 0:
        stats.update(Stats.Diff, difference)
