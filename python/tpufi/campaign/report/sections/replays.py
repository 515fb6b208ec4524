# SPDX-License-Identifier: Apache-2.0
"""Section: how to replay any experiment, with the typical ones as examples."""

import shlex

from tpufi.campaign.report.document import Column, Command, Paragraph, Section, Table
from tpufi.campaign.report.facts import Facts
from tpufi.campaign.report.printable import printable
from tpufi.campaign.report.typical import typical


def sections(facts: Facts) -> tuple[Section, ...]:
    """Return the section."""
    folder = printable(shlex.quote(facts.folder))
    command = f"tpufi replay --campaign {folder} --experiment"
    found = [(t, facts.journal.row(t.experiment)) for t in typical(facts.columns)]
    table = Table(
        "replays",
        "Typical experiments.",
        (
            Column("experiment", "count"),
            Column("outcome"),
            Column("which"),
            Column("fault model"),
            Column("site"),
            Column("epoch", "number"),
            Column("step", "number"),
            Column("replica", "number"),
            Column("command", "code"),
        ),
        tuple(
            (
                row.experiment,
                printable(row.outcome),
                which.which,
                printable(row.fault.model),
                printable(
                    f"{row.fault.layer}/{row.fault.direction}/{row.fault.operand}"
                ),
                row.fault.epoch,
                row.fault.step,
                row.fault.replica,
                f"{command} {row.experiment}",
            )
            for which, row in found
        ),
    )
    blocks = (
        Paragraph(
            "Every row of the journal can be replayed alone, bit for bit, with the "
            "same golden run, data and libraries:"
        ),
        Command(f"{command} N"),
        Paragraph("The numbers of all experiments, with their faults and outcomes:"),
        Command(f"tpufi campaign export {folder} rows.csv"),
        *((table,) if found else ()),
    )
    return (Section("replay", "Replay any experiment", blocks),)
