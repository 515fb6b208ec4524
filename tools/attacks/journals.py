# SPDX-License-Identifier: Apache-2.0
"""Forged journals: status, export, report and replay use or refuse them in one line."""

import contextlib
import io
import pathlib
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator

from tests.forged_journals import (
    CHOSEN,
    STRANGE,
    STRANGE_REAL,
    STRANGE_TEXT,
    forge,
    make_journal,
)
from tools.attacks.tally import Tally, one_line, until

from tpufi.campaign.journal import schema
from tpufi.campaign.journal.export import export
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.report.options import Options
from tpufi.campaign.report.write import write_report
from tpufi.campaign.status_table import status_lines
from tpufi.campaign.stop_rule import STRATUM_KEYS
from tpufi.campaign.workload.recorded_plan import recorded_plan

_REPORTS = 10  # One report of so many cases, since its pictures take their time.


def attack(tally: Tally, seconds: float, seed: int) -> None:
    """Forge journals until the time is over."""
    with tempfile.TemporaryDirectory() as scratch:
        good = pathlib.Path(scratch, "good")
        make_journal(good)
        for number in until(seconds):
            rng = random.Random(f"journals {seed} {number}")
            folder = pathlib.Path(scratch, f"c{number}")
            shutil.copytree(good, folder)
            changes = [change(rng) for _ in range(rng.choice((1, 1, 2, 3)))]
            for one in changes:
                forge(folder, one)
            for what, call in _uses(folder, number % _REPORTS == 0):
                with contextlib.redirect_stdout(io.StringIO()):
                    wrong = one_line(call)
                told = f"{[one[:100] for one in changes]} (seed {seed}): {wrong}"
                tally.note(f"journal, {what}", wrong and told)
            shutil.rmtree(folder)


def change(rng: random.Random) -> str:
    """Return SQL that changes a column of some rows."""
    where = rng.choice(("", f"WHERE experiment = {rng.randrange(40)}"))
    kind = rng.randrange(6)
    if kind == 0:
        key = rng.choice(("plan", "allocation", "golden", "data", "deterministic"))
        return f"UPDATE manifest SET value = {_json(rng)} WHERE key = '{key}'"
    if kind == 1:
        return f"UPDATE session SET entries = {_json(rng)}"
    if kind == 2:
        return f"UPDATE batch SET seconds = {rng.choice(STRANGE_REAL)}"
    name = rng.choice(schema.COLUMNS[1:])
    number = str(rng.choice((0, 1, 2, 63, 1000, 1 << 20, (1 << 31) - 1)))
    values = {
        "INTEGER": (*STRANGE, number, "NULL"),
        "REAL": (*STRANGE_REAL, "0.5", "NULL"),
        "TEXT": (*STRANGE_TEXT, "'masked'", "'crashed'", "'x/y/z'", "NULL"),
        "BLOB": ("x'00'", "zeroblob(16)", "zeroblob(16000)", f"randomblob({16 * 9})"),
    }[schema.kind(name)]
    return f"UPDATE experiment SET {name} = {rng.choice(values)} {where}"


def _json(rng: random.Random) -> str:
    texts = (
        '{"command": 3, "golden": "/nowhere", "band": 7}',
        '{"command": [1], "begun": {}}',
        '{"pilot": -1, "strata": ["model"], "shares": [[["FLIP"], 0.5]]}',
        '{"pilot": 3, "strata": ["batch"], "shares": []}',
        '{"workload": "resnet18", "sampling": {"models": [["FLIP", "1/0"]]}}',
        '{"workload": [], "thresholds": 3}',
        '{"kind": "inference", "mitigation": 3}',
    )
    return rng.choice((*CHOSEN, *(f"'{text}'" for text in texts)))


def _uses(folder: pathlib.Path, report: bool) -> Iterator[tuple[str, Callable]]:
    """Yield what somebody does with a journal, as the commands do it."""

    def use(what: Callable[[Reader], object]) -> Callable[[], None]:
        def call() -> None:
            with Reader.open(folder) as journal, journal.untrusted():
                what(journal)

        return call

    yield "status", use(lambda journal: list(status_lines(journal)))
    yield "status by", use(lambda journal: list(status_lines(journal, STRATUM_KEYS)))
    yield "export", use(lambda journal: export(journal, folder / "rows.csv"))
    yield "Parquet", use(lambda journal: export(journal, folder / "rows.parquet"))
    yield "plan", use(recorded_plan)
    if report:
        out = folder / "report"
        yield "report", lambda: write_report(folder, out, Options(), False)
