# SPDX-License-Identifier: Apache-2.0
"""Doing experiments of a campaign again, and comparing them with their rows."""

import dataclasses
import math
import pathlib
from collections.abc import Iterator, Sequence

from tpufi.campaign.engine.unplanned import NOT_ACTIVE
from tpufi.campaign.journal.answers import measures_of, values_of_one
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.journal.row import Row
from tpufi.campaign.journal.schema import INCIDENTAL
from tpufi.campaign.journal.scores import scores_of_one
from tpufi.campaign.subject import Subject
from tpufi.campaign.subjects import recorded_subject
from tpufi.errors import InputError
from tpufi.faults.broken_unit import AnyFault
from tpufi.faults.jsonl import fault_line
from tpufi.training.devices import USUAL, Asked


@dataclasses.dataclass(frozen=True)
class Replayed:
    """An experiment that was done again.

    Args:
      line: its fault as a line.
      row: what came out.
      recorded: what the journal has.
      measures: names of the row's values.
    """

    line: str
    row: Row
    recorded: Row
    measures: tuple[str, ...] = ()

    @property
    def differences(self) -> tuple[str, ...]:
        """Names of the columns that came out otherwise, but for times and attempts."""
        return tuple(
            field.name
            for field in dataclasses.fields(Row)
            if field.name not in INCIDENTAL
            and not self._is_untold(field.name)
            # NaN is equal to itself here.
            and repr(getattr(self.row, field.name))
            != repr(getattr(self.recorded, field.name))
        )

    def _end(self) -> str:
        """Return how often the fault was injected, and why the experiment ended."""
        row = self.row
        told = (
            f"when {row.fault.moment}: injected in {row.injected_steps} of these steps"
        )
        if row.outcome == NOT_ACTIVE or row.nonfinite_step is not None:
            return told
        if row.diverged_step is None:
            return f"{told}; no step differs from golden, no later one is injected"
        if row.reconverged_step is not None:
            return f"{told}; golden again, and no later step is injected"
        return told

    def _is_untold(self, name: str) -> bool:
        """Whether the row is of a journal that did not tell this yet."""
        return name == "injected_steps" and self.recorded.injected_steps is None

    def lines(self) -> Iterator[str]:
        """Yield the experiment for a reader, then how it compares."""
        row = self.row
        item = "" if row.fault.item is None else f"input {row.fault.item}, "
        yield f"experiment {row.experiment}: {item}{self.line}"
        steps = f"{row.steps_run} steps, state {row.state_digest}"
        yield f"outcome: {row.outcome}; {steps}"
        if row.fault.moment is not None:
            yield self._end()
        for number, (loss, accuracy) in enumerate(row.losses):
            mark = "" if math.isfinite(loss) else "  (not finite)"
            yield f"  step +{number}: loss {loss:.6g}, accuracy {accuracy:.4g}{mark}"
        for name, value in zip(self.measures, row.values, strict=False):
            yield f"  {name}: {value:g}"
        if not self.differences:
            yield "identical to its row in the journal"
        for name in self.differences:
            yield (
                f"differs: {name} {getattr(row, name)!r}, in the journal "
                f"{getattr(self.recorded, name)!r}"
            )


def replay_experiments(
    folder: pathlib.Path,
    numbers: Sequence[int],
    golden: pathlib.Path | None = None,
    asked: Asked = USUAL,
    subject: Subject | None = None,
) -> Iterator[Replayed]:
    """Do experiments of a campaign again, in the given order.

    Args:
      folder: of the campaign.
      numbers: of the experiments.
      golden: folder of the golden run, if it is not any more where it was.
      asked: device and compilation, which have to be the golden run's.
      subject: what they were done on; None: what the journal names.

    Raises:
      InputError: no such experiment, another subject, or it cannot be repeated here.
    """
    with Reader.open(folder) as journal, journal.untrusted():
        rows = [recorded_row(journal, number) for number in numbers]
        if subject is None:
            subject = recorded_subject(folder, journal, golden, asked)
        else:
            subject.manifest().check_same(journal.manifest(), str(folder))
        measures = tuple(name for _, name, _ in measures_of(journal))
    runner = subject.open()
    for row in rows:
        fault = same_fault(subject, row)
        again = runner.run(row.experiment)
        yield Replayed(fault_line(fault), again, row, measures)


def recorded_row(journal: Reader, number: int) -> Row:
    """Return a row with the values of its measures.

    Raises:
      InputError: no such experiment.
    """
    row = journal.row(number)
    if not measures_of(journal):
        return row
    return dataclasses.replace(
        row,
        values=tuple(values_of_one(journal, number)),
        scores=tuple(scores_of_one(journal, number)),
    )


def same_fault(subject: Subject, row: Row) -> AnyFault:
    """Return the fault of a row.

    Raises:
      InputError: it would be drawn in another way now.
    """
    if subject.columns(row.experiment) != row.fault:
        raise InputError(
            f"experiment {row.experiment} has another fault now; use the tpufi "
            "that made the campaign"
        )
    return subject.fault(row.experiment)
