# SPDX-License-Identifier: Apache-2.0
"""Section: what was run: plan, manifest, sessions, rate, and what went wrong."""

import json
import shlex
from collections.abc import Iterable, Iterator

from tpufi.campaign.engine.unplanned import UNPLANNED
from tpufi.campaign.report.cells import count_text
from tpufi.campaign.report.document import Section, Table
from tpufi.campaign.report.facts import Facts

_LONGEST = 5000


def sections(facts: Facts) -> Iterator[Section]:
    """Yield the section."""
    count = len(facts.experiments)
    seconds = sum(took for _, took in facts.sessions)
    many = len(facts.sessions)
    sessions = "1 session" if many == 1 else f"{many} sessions"
    rate = f", {count / seconds * 3600:.0f} an hour" if seconds else ""
    text = (
        f"{count_text(count)} experiments in {sessions}, {seconds / 3600:.3g} "
        f"hours{rate}; {facts.experiments['wall_s'].mean():.3g} s of work each on "
        "average."
    )
    plan = "Plan: experiment i is a pure function of this and i."
    manifest = "Manifest: digests and versions that every row depends on."
    entries = [pair for pair in facts.manifest.items() if pair[0] != "plan"]
    tables = [
        _pairs("plan", plan, _plan(facts)),
        _pairs("manifest", manifest, entries),
        _sessions(facts),
        _unplanned(facts),
    ]
    kept = [table for table in tables[2:] if len(table)]
    yield Section("run", "What was run", (text, *tables[:2], *kept))


def _pairs(key: str, caption: str, rows: Iterable[tuple[str, str]]) -> Table:
    return Table.of(key, caption, ("key", "value"), rows, _LONGEST)


def _plan(facts: Facts) -> Iterator[tuple[str, str]]:
    for key, value in facts.plan.items():
        parts = value.items() if isinstance(value, dict) else [("", value)]
        for part, entry in parts:
            name = f"{key}: {part}" if part else key
            yield name, entry if isinstance(entry, str) else json.dumps(entry)


def _sessions(facts: Facts) -> Table:
    return Table.of(
        "sessions",
        "Sessions: each running of the campaign.",
        (
            "begun",
            ("seconds", "number"),
            "tpufi",
            "Python",
            ("command", "code"),
        ),
        [
            (noted.get("begun", ""), took, noted.get("tpufi", ""),
             noted.get("python", ""), shlex.join(map(str, noted.get("command", []))))
            for noted, took in facts.sessions
        ],
        _LONGEST,
    )  # fmt: skip


def _unplanned(facts: Facts) -> Table:
    rows = []
    for name in UNPLANNED:
        here = facts.experiments["outcome"] == name
        numbers = facts.experiments["experiment"][here].tolist()
        if numbers:
            error = facts.journal.row(numbers[0]).error
            rows.append((name, len(numbers), numbers[0], error or ""))
    return Table.of(
        "unplanned",
        "Experiments that say nothing about their fault; no rate counts them.",
        ("what", ("experiments", "count"), ("first", "count"), "its error"),
        rows,
    )
