# SPDX-License-Identifier: Apache-2.0
"""A campaign of cheap fake experiments, killed at random moments 30 times."""

import multiprocessing
import os
import pathlib
import random
import signal
import time

import pytest

from tests.campaign_rows import MANIFEST, SESSION, fake_row
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.journal.writer import Writer

TOTAL = 5000
BATCH = 7
KILLS = 30
# A fork starts at once; the child touches nothing but the journal.
CONTEXT = multiprocessing.get_context("fork")


def campaign(folder: pathlib.Path, pause: float) -> None:
    """Run all missing experiments in worker processes; commit them in batches."""
    with Writer(folder, MANIFEST, SESSION) as journal:
        todo = [n for part in journal.missing(TOTAL) for n in part]
        with CONTEXT.Pool(2, die_with_parent, (os.getpid(),)) as pool:
            batch = []
            # In any order, as workers of unequal speed return them.
            for row in pool.imap_unordered(fake_row, todo, chunksize=3):
                batch.append(row)
                if len(batch) == BATCH:
                    journal.add(batch)
                    batch = []
                    time.sleep(pause)
            journal.add(batch)


def die_with_parent(parent: int) -> None:
    """Let SIGKILL of the campaign reach its workers; nobody else would end them."""
    import ctypes

    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(1)


def without_times(folder: pathlib.Path) -> list[tuple]:
    """All columns of all rows but the incidental ones."""
    from tpufi.campaign.journal import schema

    names = [n for n in schema.COLUMNS if n not in schema.INCIDENTAL]
    with Reader.open(folder) as journal:
        return list(
            journal.query(f"SELECT {', '.join(names)} FROM experiment ORDER BY 1")
        )


@pytest.mark.slow
def test_a_campaign_killed_30_times_equals_the_uninterrupted_one(tmp_path):
    rng = random.Random(20)
    kills, committed = 0, 0
    while kills < KILLS:
        child = CONTEXT.Process(target=campaign, args=(tmp_path / "killed", 0.01))
        child.start()
        # From before the first commit to many commits later.
        time.sleep(rng.uniform(0.01, 0.5))
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        if child.exitcode != -signal.SIGKILL:
            break
        kills += 1
        time.sleep(0.01)
        if (tmp_path / "killed" / "journal.sqlite").exists():
            committed = check_whole(tmp_path / "killed", committed)
    assert kills == KILLS, "the campaign ended before all kills; make it longer"
    assert 0 < committed < TOTAL
    print(f"{kills} kills, {committed} of {TOTAL} experiments were committed")
    for name in ("killed", "uninterrupted"):
        child = CONTEXT.Process(target=campaign, args=(tmp_path / name, 0))
        child.start()
        child.join()
        assert child.exitcode == 0
    killed = without_times(tmp_path / "killed")
    assert killed == without_times(tmp_path / "uninterrupted")
    assert [row[0] for row in killed] == list(range(TOTAL))


def check_whole(folder: pathlib.Path, before: int) -> int:
    """Nothing that was committed is lost, and only whole batches are there."""
    with Writer(folder, MANIFEST, SESSION) as journal:
        count = journal.count()
    assert count >= before
    assert count % BATCH == 0
    return count
