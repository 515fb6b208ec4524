# SPDX-License-Identifier: Apache-2.0
"""Doing experiments of a campaign again, and comparing them with their rows."""

import dataclasses
import math
import pathlib
from collections.abc import Iterator, Sequence

from tpufi.campaign.engine.experiment import Experimenter
from tpufi.campaign.engine.runner import RunnerOf
from tpufi.campaign.journal.manifest import golden_digest
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.journal.row import FaultColumns, Row
from tpufi.campaign.journal.schema import INCIDENTAL
from tpufi.campaign.recorded_plan import recorded_plan
from tpufi.errors import InputError
from tpufi.fault import Fault
from tpufi.faults.jsonl import fault_line
from tpufi.golden import GoldenFolder
from tpufi.training.devices import USUAL, Asked


@dataclasses.dataclass(frozen=True)
class Replayed:
    """An experiment that was done again.

    Args:
      line: its fault as a line.
      row: what came out.
      recorded: what the journal has.
    """

    line: str
    row: Row
    recorded: Row

    @property
    def differences(self) -> tuple[str, ...]:
        """Names of the columns that came out otherwise."""
        return differing(self.row, self.recorded)

    def lines(self) -> Iterator[str]:
        """Yield the experiment for a reader, then how it compares."""
        row = self.row
        yield f"experiment {row.experiment}: {self.line}"
        steps = f"{row.steps_run} steps, state {row.state_digest}"
        yield f"outcome: {row.outcome}; {steps}"
        for number, (loss, accuracy) in enumerate(row.losses):
            mark = "" if math.isfinite(loss) else "  (not finite)"
            yield f"  step +{number}: loss {loss:.6g}, accuracy {accuracy:.4g}{mark}"
        if not self.differences:
            yield "identical to its row in the journal"
        for name in self.differences:
            yield (
                f"differs: {name} {getattr(row, name)!r}, in the journal "
                f"{getattr(self.recorded, name)!r}"
            )


def differing(row: Row, recorded: Row) -> tuple[str, ...]:
    """Return the names of the columns that differ, but for times and attempts."""
    return tuple(
        field.name
        for field in dataclasses.fields(Row)
        if field.name not in INCIDENTAL
        # NaN is equal to itself here.
        and repr(getattr(row, field.name)) != repr(getattr(recorded, field.name))
    )


def replay_experiments(
    folder: pathlib.Path,
    numbers: Sequence[int],
    golden: pathlib.Path | None = None,
    asked: Asked = USUAL,
) -> Iterator[Replayed]:
    """Do experiments of a campaign again, in the given order.

    Args:
      folder: of the campaign.
      numbers: of the experiments.
      golden: folder of the golden run, if it is not any more where it was.
      asked: device and compilation, which have to be the golden run's.

    Raises:
      InputError: no such experiment, another golden run, or it cannot be repeated here.
    """
    runner, rows = open_recorded(folder, numbers, golden, asked)
    for row in rows:
        fault = same_fault(runner, row)
        yield Replayed(fault_line(fault), runner.run(row.experiment), row)


def open_recorded(
    folder: pathlib.Path,
    numbers: Sequence[int],
    golden: pathlib.Path | None = None,
    asked: Asked = USUAL,
) -> tuple[Experimenter, list[Row]]:
    """Return what repeats experiments of a campaign, and their rows.

    Args:
      folder: of the campaign.
      numbers: of the experiments.
      golden: folder of the golden run, if it is not any more where it was.
      asked: device and compilation, which have to be the golden run's.

    Raises:
      InputError: no such experiment, another golden run, or it cannot be repeated here.
    """
    with Reader.open(folder) as journal:
        rows = [journal.row(number) for number in numbers]
        plan, deterministic = recorded_plan(journal, golden)
        digest = journal.manifest()["golden"]
    if golden_digest((plan.golden, *plan.band)) != digest:
        raise InputError(
            f"{plan.golden}: is not the golden run of {folder}; name that with --golden"
        )
    config, _ = GoldenFolder(plan.golden).read_manifest()
    asked.check_same(config.placement, plan.golden)
    return RunnerOf(plan, deterministic == "yes")(), rows


def same_fault(runner: Experimenter, row: Row) -> Fault:
    """Return the fault of a row.

    Raises:
      InputError: it would be drawn in another way now.
    """
    fault = runner.fault(row.experiment)
    if FaultColumns.of(fault) != row.fault:
        raise InputError(
            f"experiment {row.experiment} has another fault now; use the tpufi "
            "that made the campaign"
        )
    return fault
