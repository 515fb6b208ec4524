# SPDX-License-Identifier: Apache-2.0
"""Section: what was run: plan, manifest, sessions, rate, and what went wrong."""

import json
import shlex
from collections.abc import Iterator

from tpufi.campaign.engine.unplanned import UNPLANNED
from tpufi.campaign.report.cells import Code, count_text
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
    tables = (_plan(facts), _manifest(facts), _sessions(facts), _unplanned(facts))
    kept = (table for table in tables if len(table))
    yield Section("run", "What was run", (text, *_citation(facts, count), *kept))


def _citation(facts: Facts, count: int) -> Iterator[str]:
    """Yield a sentence for a paper and the entry to cite."""
    noted = facts.sessions[0][0] if facts.sessions else {}
    version = noted.get("tpufi", "of unknown version")
    where = facts.plan.get("workload", noted.get("program", "a program"))
    name = "Clopper-Pearson" if facts.options.exact else "Wilson"
    yield (
        f'For a methods section: "We injected {count_text(count)} faults into {where} '
        f"with tpufi {version} (seed {facts.plan.get('seed')}); intervals are "
        f'{name} intervals with confidence {facts.options.confidence:g}."'
    )
    yield (
        "BibTeX: @software{tpufi, author = {{The tpufi authors}}, title = {tpufi: "
        "hardware fault injection for TensorFlow training}, "
        f"version = {{{version}}}}}"
    )


def _plan(facts: Facts) -> Table:
    rows = []
    for key, value in facts.plan.items():
        parts = value.items() if isinstance(value, dict) else [("", value)]
        for part, entry in parts:
            shown = entry if isinstance(entry, str) else json.dumps(entry)
            rows.append({"key": f"{key}: {part}" if part else key, "value": shown})
    caption = "Plan: experiment i is a pure function of this and i."
    return Table.of("plan", caption, rows, _LONGEST)


def _manifest(facts: Facts) -> Table:
    caption = "Manifest: digests and versions that every row depends on."
    entries = facts.manifest.items()
    rows = [{"key": key, "value": value} for key, value in entries if key != "plan"]
    return Table.of("manifest", caption, rows, _LONGEST)


def _sessions(facts: Facts) -> Table:
    rows = [
        {
            "begun": noted.get("begun", ""),
            "seconds": took,
            "tpufi": noted.get("tpufi", ""),
            "Python": noted.get("python", ""),
            "command": Code(shlex.join(map(str, noted.get("command", [])))),
        }
        for noted, took in facts.sessions
    ]
    caption = "Sessions (invocations)."
    return Table.of("sessions", caption, rows, _LONGEST)


def _unplanned(facts: Facts) -> Table:
    rows = []
    for name in UNPLANNED:
        here = facts.experiments["outcome"] == name
        numbers = facts.experiments["experiment"][here].tolist()
        if numbers:
            rows.append(
                {
                    "what": name,
                    "experiments": len(numbers),
                    "first": numbers[0],
                    "its error": facts.journal.row(numbers[0]).error or "",
                }
            )
    caption = "Experiments that say nothing about their fault; no rate counts them."
    return Table.of("unplanned", caption, rows)
