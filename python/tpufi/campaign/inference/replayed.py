# SPDX-License-Identifier: Apache-2.0
"""Doing experiments of an inference campaign again, and comparing them."""

import pathlib
from collections.abc import Callable, Iterator, Sequence

from tpufi.campaign.engine.replayed import differing
from tpufi.campaign.inference.answers import measures_of, values_of_one
from tpufi.campaign.inference.runner import InferenceRunner
from tpufi.campaign.inference.survey import Survey
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.journal.row import Row


def replay_inferences(
    found: Survey,
    folder: pathlib.Path,
    numbers: Sequence[int],
    make_runner: Callable[[], InferenceRunner],
) -> Iterator[tuple[bool, list[str]]]:
    """Do experiments of a campaign again, in the given order.

    Args:
      found: of the campaign's plan.
      folder: of the campaign.
      numbers: of the experiments.
      make_runner: returns the runner of the plan; called once the numbers are known.

    Returns:
      For each whether all is as in the journal, and lines for a reader.

    Raises:
      InputError: no such experiment, another campaign's plan, or a file of it was
        changed.
    """
    with Reader.open(folder) as journal, journal.untrusted():
        found.manifest().check_same(journal.manifest(), str(folder))
        names = [name for _, name, _ in measures_of(journal)]
        recorded = [
            (
                journal.row(number),
                dict(zip(names, values_of_one(journal, number), strict=True)),
            )
            for number in numbers
        ]
    runner = make_runner()
    for row, values in recorded:
        yield _compared(row, values, runner.run(row.experiment, row.attempt))


def _compared(row: Row, values: dict[str, float], new: Row) -> tuple[bool, list[str]]:
    fault = new.fault
    lines = [
        f"experiment {new.experiment}: input {fault.step}, {fault.layer} "
        f"({fault.operand}), element {fault.start}, bit {fault.bit}",
        f"outcome: {new.outcome}; answer {new.state_digest}",
        *(
            f"  {name}: {value:g}"
            for name, value in zip(values, new.values, strict=True)
        ),
    ]
    changed = [
        f"differs: {name} {getattr(new, name)!r}, in the journal {getattr(row, name)!r}"
        for name in differing(new, row)
    ]
    changed += [
        f"differs: {name} {value!r}, in the journal {then!r}"
        for (name, then), value in zip(values.items(), new.values, strict=True)
        if repr(then) != repr(value)  # NaN is equal to itself here.
    ]
    return not changed, lines + (changed or ["identical to its row in the journal"])
