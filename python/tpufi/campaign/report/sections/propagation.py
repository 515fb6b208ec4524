# SPDX-License-Identifier: Apache-2.0
"""Section: how far faults have spread through the state after some steps."""

from collections import defaultdict

from tpufi.campaign.report.cells import share_text
from tpufi.campaign.report.document import Column, Paragraph, Picture, Section, Table
from tpufi.campaign.report.facts import Facts
from tpufi.campaign.report.pictures import spread
from tpufi.campaign.report.printable import printable

_LARGE = 0.01
# One scan; the tensors are few.
_SELECT = (
    "SELECT after, part, tensor, count(*), sum(tensors), sum(elements), "
    f"sum(not_finite > 0), sum(relative > {_LARGE}), max(relative) FROM propagation "
    "GROUP BY after, part, tensor"
)
_EXPLAINED = (
    "Experiments whose state differs from golden in any bit after some steps, the "
    "struck one included, by part of the state, of all experiments. Those that are "
    "golden again, or ended because a loss was not finite, no longer count. Change: "
    "2-norm of a tensor's finite changes over that of the golden tensor; of each "
    "experiment that of the tensor that changed most."
)


def sections(facts: Facts) -> tuple[Section, ...]:
    """Return the section; none where the plan did not ask for it."""
    groups: dict[tuple[int, str], list[tuple]] = defaultdict(list)
    for after, part, *values in facts.journal.query(_SELECT):
        groups[after, part].append(tuple(values))
    if not groups:
        return ()
    rows = tuple(_row(facts, *key, groups[key]) for key in sorted(groups))
    table = Table(
        "propagation",
        "How far faults have spread.",
        (
            Column("after steps", "number"),
            Column("part"),
            Column("experiments", "count"),
            Column("share", "share"),
            Column("interval", "interval"),
            Column("tensors, mean", "number"),
            Column("elements, mean", "number"),
            Column("with values not finite", "count"),
            Column(f"with a change over {_LARGE:.0%}", "count"),
            Column("largest change", "number"),
            Column("tensor that changed most, most often"),
        ),
        rows,
    )
    parts: dict[str, list] = {}
    for after, part, _, share, interval, *_ in rows:
        parts.setdefault(part, []).append((after, share, interval))
    after, part, _, share, *_ = max(rows, key=lambda row: row[3])
    picture = Picture(
        "propagation_curve",
        "Share of all experiments that differ from golden after some steps, with "
        "intervals, by part of the state.",
        f"Curves for {', '.join(parts)} over {len({row[0] for row in rows})} moments; "
        f"the largest share is {share_text(share)}, {part} after {after} steps",
        lambda: spread.draw(parts, "steps, the struck one included"),
    )
    return (
        Section("propagation", "Propagation", (Paragraph(_EXPLAINED), picture, table)),
    )


def _row(facts: Facts, after: int, part: str, groups: list[tuple]) -> tuple:
    """Return the row of one moment and part from its groups by tensor."""
    trials = len(facts.columns)
    count, tensors, elements, broken, large = (
        sum(group[place] for group in groups) for place in range(1, 6)
    )
    often, _ = max(((g[0], g[1]) for g in groups), key=lambda pair: (pair[1], pair[0]))
    return (
        after,
        printable(part),
        count,
        count / trials,
        tuple(facts.counter.interval(count, trials)),
        tensors / count,
        elements / count,
        broken,
        large,
        max(group[6] for group in groups),
        printable(often),
    )
