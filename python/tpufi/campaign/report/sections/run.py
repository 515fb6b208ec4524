# SPDX-License-Identifier: Apache-2.0
"""Section: what was run: plan, manifest, sessions, rate, and what went wrong."""

import json
import shlex

import numpy as np

from tpufi.campaign.engine.unplanned import UNPLANNED
from tpufi.campaign.report.cells import count_text
from tpufi.campaign.report.document import Block, Column, Paragraph, Section, Table
from tpufi.campaign.report.facts import Facts
from tpufi.campaign.report.printable import printable

_LONGEST = 5000


def sections(facts: Facts) -> tuple[Section, ...]:
    """Return the section."""
    columns = facts.columns
    seconds = sum(took for _, took in facts.sessions)
    many = len(facts.sessions)
    sessions = "1 session" if many == 1 else f"{many} sessions"
    rate = f", {len(columns) / seconds * 3600:.0f} an hour" if seconds else ""
    text = (
        f"{count_text(len(columns))} experiments in {sessions}, "
        f"{seconds / 3600:.3g} hours{rate}; {columns.seconds / len(columns):.3g} s of "
        "work each on average."
    )
    blocks: list[Block] = [Paragraph(text), _plan(facts), _manifest(facts)]
    if facts.sessions:
        blocks.append(_sessions(facts))
    if (unplanned := _unplanned(facts)) is not None:
        blocks.append(unplanned)
    return (Section("run", "What was run", tuple(blocks)),)


def _plan(facts: Facts) -> Table:
    rows = []
    for key, value in facts.plan.items():
        parts = value.items() if isinstance(value, dict) else [("", value)]
        for part, entry in parts:
            shown = entry if isinstance(entry, str) else json.dumps(entry)
            name = f"{key}: {part}" if part else key
            rows.append((printable(name), printable(shown, _LONGEST)))
    caption = "Plan: experiment i is a pure function of this and i."
    return Table("plan", caption, (Column("key"), Column("value")), tuple(rows))


def _manifest(facts: Facts) -> Table:
    rows = [
        (printable(key), printable(value, _LONGEST))
        for key, value in facts.manifest.items()
        if key != "plan"
    ]
    caption = "Manifest: digests and versions that every row depends on."
    return Table("manifest", caption, (Column("key"), Column("value")), tuple(rows))


def _sessions(facts: Facts) -> Table:
    rows = []
    for entries, took in facts.sessions:
        noted = json.loads(entries)
        command = shlex.join(map(str, noted.get("command", [])))
        rows.append(
            (
                printable(noted.get("begun", "")),
                took,
                printable(noted.get("tpufi", "")),
                printable(noted.get("python", "")),
                printable(command, _LONGEST),
            )
        )
    return Table(
        "sessions",
        "Sessions: each running of the campaign.",
        (
            Column("begun"),
            Column("seconds", "number"),
            Column("tpufi"),
            Column("Python"),
            Column("command", "code"),
        ),
        tuple(rows),
    )


def _unplanned(facts: Facts) -> Table | None:
    outcomes = facts.columns.values["outcome"]
    rows = []
    for name in UNPLANNED:
        if name not in outcomes:
            continue
        here = facts.columns.codes["outcome"] == outcomes.index(name)
        numbers = facts.columns.experiment[np.flatnonzero(here)]
        error = facts.journal.row(int(numbers[0])).error
        rows.append((name, len(numbers), int(numbers[0]), printable(error or "")))
    if not rows:
        return None
    return Table(
        "unplanned",
        "Experiments that say nothing about their fault; no rate counts them.",
        (
            Column("what"),
            Column("experiments", "count"),
            Column("first", "count"),
            Column("its error"),
        ),
        tuple(rows),
    )
