# SPDX-License-Identifier: Apache-2.0
"""Journals whose content was altered by someone who knows how batches are sealed."""

import contextlib
import pathlib
import sqlite3

from tests.campaign_rows import MANIFEST, SESSION, fake_row
from tpufi.campaign.journal import schema
from tpufi.campaign.journal.integrity import digests
from tpufi.campaign.journal.writer import Writer

CHOSEN = (
    "'\"x\"'",
    "'{'",
    "'[]'",
    "'{}'",
    "''",
    "'" + "[" * 3000 + "'",
    "'{\"seed\": 1e999}'",
)
STRANGE = ("-1", "9223372036854775807", "4294967296", "64")
STRANGE_REAL = ("-1.0", "9e999", "-9e999", "1e300")
STRANGE_TEXT = ("''", "'a' || char(10) || 'b' || char(27)", "printf('%.20000c', 'x')")


def make_journal(folder: pathlib.Path) -> None:
    """Write a small journal."""
    with Writer(folder, MANIFEST, SESSION) as journal:
        journal.add(fake_row(n, wall_s=0.5) for n in range(40))


def forge(folder: pathlib.Path, change: str) -> bool:
    """Change rows and seal the batches anew; return whether SQLite let that happen."""
    with contextlib.closing(
        sqlite3.connect(folder / "journal.sqlite", isolation_level=None)
    ) as connection:
        try:
            connection.execute(change)
        except sqlite3.Error:
            return False
        tables = [t for t in schema.TABLES if t not in schema.OPTIONAL]
        for number, digest in digests(connection, tables).items():
            update = "UPDATE batch SET digest = ? WHERE id = ?"
            connection.execute(update, (digest, number))
    return True


def forgeries() -> list[str]:
    """Return changes of every column."""
    found = ["DELETE FROM manifest", "DELETE FROM session"]
    for key in ("plan", "allocation", "golden", "deterministic"):
        found += [
            f"UPDATE manifest SET value = {text} WHERE key = '{key}'" for text in CHOSEN
        ]
    found += [f"UPDATE session SET entries = {text}" for text in CHOSEN]
    found += [f"UPDATE batch SET seconds = {real}" for real in STRANGE_REAL]
    strange = {"INTEGER": STRANGE, "REAL": STRANGE_REAL, "TEXT": STRANGE_TEXT}
    for name in schema.COLUMNS:
        which = "WHERE experiment = 7" if name == "experiment" else ""
        found += [
            f"UPDATE experiment SET {name} = {value} {which}"
            for value in strange.get(schema.kind(name), ("x'00'", "zeroblob(16)"))
        ]
    return found
