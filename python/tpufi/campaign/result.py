# SPDX-License-Identifier: Apache-2.0
"""A campaign that was run from Python, and ways to read its journal."""

import dataclasses
import pathlib

import pandas as pd

from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.monitor_table import MonitorRates, monitor_rates
from tpufi.campaign.report.experiments import read_experiments
from tpufi.campaign.report.options import Options
from tpufi.campaign.report.write import PAGE, write_report
from tpufi.campaign.status_table import status_lines


@dataclasses.dataclass(frozen=True)
class CampaignResult:
    """What a campaign left.

    Args:
      folder: of the campaign.
      reason: the stop rule that held; None: someone stopped it.
    """

    folder: pathlib.Path
    reason: str | None

    def summary(self, by: tuple[str, ...] = ()) -> str:
        """Return outcomes with intervals and what monitors noticed, as lines."""
        with Reader.open(self.folder) as journal:
            return "\n".join(status_lines(journal, by))

    def __str__(self) -> str:
        return self.summary()

    def monitors(self) -> list[MonitorRates]:
        """Return what each monitor noticed."""
        with Reader.open(self.folder) as journal:
            return monitor_rates(journal)

    def to_pandas(self) -> pd.DataFrame:
        """Return a row for each experiment."""
        with Reader.open(self.folder) as journal:
            return read_experiments(journal)

    def report(self, out: pathlib.Path | None = None) -> pathlib.Path:
        """Write the report and return its page.

        Args:
          out: folder to write; None: `report` in the campaign's folder.
        """
        folder = out or self.folder / "report"
        write_report(self.folder, folder, Options())
        return folder / PAGE
