# SPDX-License-Identifier: Apache-2.0
"""Section: loss curves of typical experiments of each outcome beside the golden run."""

from tpufi.campaign.journal.row import Row
from tpufi.campaign.report.document import Block, Column, Paragraph, Picture, Section
from tpufi.campaign.report.document import Table as _Table
from tpufi.campaign.report.facts import Facts
from tpufi.campaign.report.pictures import losses
from tpufi.campaign.report.printable import printable
from tpufi.campaign.report.typical import Typical, typical


def sections(facts: Facts) -> tuple[Section, ...]:
    """Return the section; none where the journal kept no losses."""
    chosen = [(t, facts.journal.row(t.experiment)) for t in typical(facts.columns)]
    if not chosen:
        return ()
    panels: dict[str, list[losses.Curve]] = {}
    for which, row in chosen:
        panels.setdefault(which.outcome, []).append(_curve(facts, which, row))
    explained = (
        "Of each outcome the experiment with the median final loss, and those with the "
        "lowest (best) and the highest (worst); a loss that is not finite counts as "
        "the highest, of equal ones the longer experiment comes first, then the lower "
        "number. Crosses: not finite."
    )
    blocks: list[Block] = [Paragraph(explained)]
    if facts.golden is None:
        blocks.append(Paragraph(facts.without_golden))
    elif len(facts.golden.runs) > 1:
        text = f"Band: of {len(facts.golden.runs)} golden runs, at the median's steps."
        blocks.append(Paragraph(text))
    blocks.append(
        Picture(
            "typical_losses",
            "Training loss from the fault on; wide and grey: golden run.",
            "Loss curves of typical experiments, a panel for each of the outcomes "
            + ", ".join(map(printable, panels)),
            lambda: losses.draw(list(panels.items())),
            _table(facts, chosen),
        )
    )
    return (Section("typical", "Typical experiments", tuple(blocks)),)


def _curve(facts: Facts, which: Typical, row: Row) -> losses.Curve:
    values = [loss for loss, _ in row.losses]
    place = row.fault.epoch, row.fault.step, len(values)
    if facts.golden is None:
        return losses.Curve(which.which, values, [], [], [])
    golden = facts.golden.losses(*place)
    return losses.Curve(which.which, values, golden, *facts.golden.band(*place))


def _table(facts: Facts, chosen: list[tuple[Typical, Row]]) -> _Table:
    rows = []
    for which, row in chosen:
        place = row.fault.epoch, row.fault.step, len(row.losses)
        golden = facts.golden.losses(*place) if facts.golden else []
        for step, (loss, accuracy) in enumerate(row.losses):
            usual = golden[step] if step < len(golden) else None
            name = printable(which.outcome)
            rows.append(
                (name, which.which, which.experiment, step, loss, accuracy, usual)
            )
    names = ("step from the fault", "loss", "accuracy", "golden loss")
    return _Table(
        "typical_losses",
        "Losses and accuracies of the typical experiments.",
        (
            Column("outcome"),
            Column("which"),
            Column("experiment", "count"),
            *(Column(name, "number") for name in names),
        ),
        tuple(rows),
    )
