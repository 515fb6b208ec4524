# SPDX-License-Identifier: Apache-2.0
"""Workers that crash, hang, raise or are killed cost at most one experiment."""

import multiprocessing
import os
import pathlib
import random
import signal
import time

import pytest

from tests.campaign_rows import fake_row
from tests.campaign_runs import FakeRunner, kept_rows, run_small, small_plan
from tpufi.campaign.engine.run import Scale
from tpufi.campaign.engine.unplanned import CRASHED, FAILED, HUNG
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.journal.schema import COLUMNS, INCIDENTAL, to_columns
from tpufi.errors import InputError

EXPERIMENTS, TOTAL = 60, 12_000
# Nothing here runs TensorFlow, so a fork is safe, and it starts at once.
CONTEXT = multiprocessing.get_context("fork")


def run(folder, make, workers=2, **options):
    return run_small(
        small_plan(folder, EXPERIMENTS),
        folder / "c",
        make,
        workers,
        method="fork",
        **options,
    )


def rows_of(folder) -> dict:
    with Reader.open(folder / "c") as journal:
        return {row.experiment: row for row in journal.rows()}


def kept(row) -> dict:
    """Return the columns of a row but those of how it was run."""
    columns = dict(zip(COLUMNS, to_columns(row), strict=True))
    return {name: v for name, v in columns.items() if name not in INCIDENTAL}


def test_an_experiment_that_ends_its_worker_is_tried_twice_and_recorded(tmp_path):
    run(tmp_path, FakeRunner(crashes=(13, 40), stumbles=(20,), fails=(33,)))
    rows = rows_of(tmp_path)
    assert sorted(rows) == list(range(EXPERIMENTS))
    for number in (13, 40):
        row = rows.pop(number)
        assert (row.outcome, row.attempt, row.steps_run) == (CRASHED, 2, 0)
        assert row.error == "the worker ended with code 7"
    assert rows[20].attempt == 2 and rows[20].outcome == fake_row(20).outcome
    failed = rows.pop(33)
    assert (failed.outcome, failed.error) == (FAILED, "ValueError: no luck with 33")
    for number, row in rows.items():
        assert kept(row) == kept(fake_row(number))


def test_an_experiment_that_hangs_is_ended_and_recorded(tmp_path):
    run(tmp_path, FakeRunner(hangs=(5,)), timeout=2)
    row = rows_of(tmp_path)[5]
    assert (row.outcome, row.error) == (HUNG, "no sign of life for 2 s")


def test_someone_who_stops_it_gets_whole_blocks_and_can_go_on(tmp_path):
    stop_at = time.monotonic() + 3
    ended = run(
        tmp_path,
        FakeRunner(seconds=0.2),
        workers=1,
        stopping=lambda: time.monotonic() > stop_at,
    )
    assert ended.reason is None
    done = len(rows_of(tmp_path))
    assert 0 < done < EXPERIMENTS
    assert run(tmp_path, FakeRunner()).reason == "all 60 experiments are done"
    assert sorted(rows_of(tmp_path)) == list(range(EXPERIMENTS))


def test_a_complete_campaign_starts_no_worker(tmp_path):
    def refuse(_):
        raise AssertionError

    ended = run(tmp_path, FakeRunner(), workers=1)
    assert ended.reason == "all 60 experiments are done"
    assert run(tmp_path, refuse).reason == ended.reason


def killed_or_not(folder) -> None:
    """A campaign that goes on from wherever it was."""
    plan = small_plan(folder, TOTAL)
    make = FakeRunner(seconds=0.004)
    run_small(plan, folder, make, 2, method="fork", scale=Scale(100, 5))


def count_rows(folder) -> int:
    if not (folder / "journal.sqlite").exists():
        return 0
    try:
        with Reader.open(folder) as journal:
            return journal.count()
    except InputError:  # Not begun yet.
        return 0


def wait_for_rows(folder, before: int) -> None:
    """Wait until there are more rows, however slow the machine is now."""
    until = time.monotonic() + 60
    while count_rows(folder) <= before and time.monotonic() < until:
        time.sleep(0.02)


@pytest.mark.slow
def test_a_campaign_killed_at_30_random_moments_equals_the_uninterrupted_one(tmp_path):
    rng = random.Random(4)
    kills, partial = 0, set()
    while kills < 30:
        child = CONTEXT.Process(target=killed_or_not, args=(tmp_path / "killed",))
        child.start()
        # Every other one while it starts, the rest once it has done something.
        if kills % 2:
            wait_for_rows(tmp_path / "killed", max(partial, default=0))
        time.sleep(rng.uniform(0.05, 0.3))
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        assert child.exitcode == -signal.SIGKILL, "it ended before; make it longer"
        kills += 1
        partial.add(count_rows(tmp_path / "killed"))
    assert len(partial) > 10 and max(partial) < TOTAL
    print(f"{kills} kills, {len(partial)} different numbers of rows on the way")
    for name in ("killed", "whole"):
        child = CONTEXT.Process(target=killed_or_not, args=(tmp_path / name,))
        child.start()
        child.join()
        assert child.exitcode == 0
    rows = kept_rows(tmp_path / "killed")
    assert rows == kept_rows(tmp_path / "whole")
    assert [row[0] for row in rows] == list(range(TOTAL))


def test_workers_do_not_outlive_a_killed_campaign(tmp_path):
    child = CONTEXT.Process(target=killed_or_not, args=(tmp_path,))
    child.start()
    deadline = time.monotonic() + 30
    while len(workers := children_of(child.pid)) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(workers) == 2
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    while any(map(is_alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(map(is_alive, workers))


def children_of(process: int) -> list[int]:
    # A process counts as a child of the thread that started it.
    files = pathlib.Path(f"/proc/{process}/task").glob("*/children")
    return [int(number) for file in files for number in file.read_text().split()]


def is_alive(process: int) -> bool:
    try:
        state = pathlib.Path(f"/proc/{process}/stat").read_text().rsplit(") ", 1)[1]
    except FileNotFoundError:
        return False
    return not state.startswith("Z")
