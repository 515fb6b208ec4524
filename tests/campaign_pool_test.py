# SPDX-License-Identifier: Apache-2.0
"""The pool's scheduler with workers that only pretend; real ones are in other files."""

import dataclasses
import multiprocessing
import os
import pathlib
import random
import signal
import threading
import time

import pytest

from tests.campaign_rows import fake_row
from tests.campaign_runs import FakeRunner
from tpufi.campaign.engine.block_queue import ATTEMPTS, BlockQueue
from tpufi.campaign.engine.local_pool import LocalPool
from tpufi.campaign.engine.pool import Pool
from tpufi.campaign.engine.unplanned import CRASHED, FAILED, HUNG
from tpufi.campaign.engine.worker import RunnerHost, Worker, WorkerLost
from tpufi.errors import InputError

COUNT = 200


class Pretended(Worker):
    """Runs experiments here; `lose(number, attempt)` tells whether it is lost then."""

    def __init__(self, runner, lose):
        self._runner, self._lose = runner, lose
        self._host = RunnerHost()

    def ready(self):
        if self._lose(None, 0):
            raise WorkerLost(CRASHED, "it never came up")
        return self._host.make(lambda alive: self._runner(alive))

    def run(self, block):
        for number in block.numbers:
            if self._lose(number, block.attempt):
                raise WorkerLost(CRASHED, "it fell over")
            yield self._host.run(number, block.attempt)

    def kill(self):
        pass


class PretendedPool(Pool):
    def __init__(self, size, runner, lose=lambda number, attempt: False):
        self._how = runner, lose
        super().__init__(size)

    def _start(self):
        return Pretended(*self._how)


@dataclasses.dataclass(frozen=True)
class SlowToBegin(FakeRunner):
    """Takes its time to start, and for the first experiment that it runs."""

    start: float = 0.0
    first: float = 0.0

    def __call__(self, alive):
        time.sleep(self.start)
        return SlowOnce(self.first)


class SlowOnce:
    def __init__(self, seconds):
        self._seconds = seconds

    def run(self, number, attempt):
        time.sleep(self._seconds)
        self._seconds = 0.0
        return fake_row(number, attempt=attempt)


def given_up(number, outcome, error):
    return fake_row(number, outcome=outcome, error=error, attempt=ATTEMPTS)


def rows_of(pool, count=COUNT, stopping=lambda: False) -> dict:
    try:
        left = BlockQueue(range(count), pool.size, 7)
        found = [row for rows in pool.run(left, given_up, stopping) for row in rows]
    finally:
        pool.close()
    assert len({row.experiment for row in found}) == len(found)
    return {row.experiment: row for row in found}


@pytest.mark.parametrize("size", [1, 3, 40])
@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_lost_each_experiment_has_one_row(size, seed):
    rng, cursed = random.Random(seed), {3, 77, 78, 199}

    def lose(number, attempt):
        # Not at every start, or a worker would be given up.
        likely = 0.05 if attempt < ATTEMPTS else 0
        return number in cursed or rng.random() < likely and number is not None

    rows = rows_of(PretendedPool(size, FakeRunner(fails=(5,)), lose))
    assert sorted(rows) == list(range(COUNT))
    assert {n for n, row in rows.items() if row.outcome == CRASHED} == cursed
    assert rows[3].error == "it fell over"
    assert (rows[5].outcome, rows[5].error) == (FAILED, "ValueError: no luck with 5")
    others = [fake_row(n).state_digest for n in range(COUNT) if n not in {5, *cursed}]
    kept = [
        row.state_digest for n, row in sorted(rows.items()) if n not in {5, *cursed}
    ]
    assert kept == others


def test_workers_that_never_come_up_are_told():
    with pytest.raises(RuntimeError, match="workers cannot be started: it never came"):
        rows_of(PretendedPool(2, FakeRunner(), lambda number, attempt: number is None))


@pytest.mark.parametrize("late", [False, True])
def test_a_refusal_ends_the_campaign_with_its_text(late):
    class Refusing:
        def __init__(self, alive):
            if not late:
                self.run(0, 1)

        def run(self, number, attempt):
            raise InputError("the golden run cannot be repeated here")

    with pytest.raises(InputError, match="^the golden run cannot be repeated here$"):
        rows_of(PretendedPool(2, Refusing))


def test_a_defect_of_the_pool_is_raised_as_it_is():
    def lose(number, attempt):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        rows_of(PretendedPool(2, FakeRunner(), lose))


def test_blocks_that_were_handed_out_are_ended_when_it_stops():
    stop = threading.Event()

    def lose(number, attempt):
        if number == 30:
            stop.set()
        return False

    rows = rows_of(PretendedPool(1, FakeRunner(), lose), stopping=stop.is_set)
    assert sorted(rows) == list(range(35))


def test_a_pool_of_processes_ends_at_once_in_the_middle_of_an_experiment():
    pool = LocalPool(FakeRunner(hangs=(0, 1)), 2, 300, 300, method="fork")
    rows = pool.run(BlockQueue(range(2), 2, 1), given_up, lambda: False)
    deadline = time.monotonic() + 60
    while len(pool._busy) < 2 and time.monotonic() < deadline:
        assert next(rows) == []
    processes = [worker._process for worker in pool._workers.values()]
    begin = time.monotonic()
    pool.close()
    assert time.monotonic() - begin < 5
    assert len(processes) == 2
    assert [process.exitcode for process in processes] == [-9, -9]
    assert not [t for t in pool._threads if t.is_alive()]
    for process in processes:
        with pytest.raises(ProcessLookupError):
            os.kill(process.pid, 0)


def test_an_experiment_that_no_worker_began_has_lost_no_attempt():
    cursed = {10, 50, 90, 130}

    def lose(number, attempt):
        if number in cursed:
            cursed.remove(number)
            raise WorkerLost(HUNG, "it was stopped before that", begun=False)
        return False

    rows = rows_of(PretendedPool(2, FakeRunner(), lose))
    assert cursed == set()
    assert all(row.outcome == fake_row(n).outcome for n, row in rows.items())
    assert {row.attempt for row in rows.values()} == {1}


def test_workers_that_never_begin_are_told():
    def lose(number, attempt):
        if number is not None:
            raise WorkerLost(HUNG, "it was stopped before that", begun=False)
        return False

    with pytest.raises(RuntimeError, match="workers cannot be started: it was stopped"):
        rows_of(PretendedPool(2, FakeRunner(), lose))


def test_who_ends_the_campaign_may_have_ended_the_workers_that_start():
    pool = PretendedPool(2, FakeRunner(), lambda number, attempt: number is None)
    asked = []

    def stopping():
        asked.append(None)
        return len(asked) > 2  # From where the workers' end is looked at.

    assert rows_of(pool, stopping=stopping) == {}


def test_the_first_experiment_of_a_worker_traces_and_has_the_time_of_a_start():
    # Its start and its first experiment take longer than an experiment may.
    make = SlowToBegin(start=1.5, first=1.5)
    rows = rows_of(LocalPool(make, 1, 1, 300, method="fork"), 5)
    assert [(row.outcome, row.attempt) for row in rows.values()] == [
        (fake_row(number).outcome, 1) for number in range(5)
    ]


def test_stopped_workers_and_a_stopped_campaign_say_nothing_about_a_fault(tmp_path):
    def campaign():
        pool = LocalPool(FakeRunner(seconds=0.05), 3, 1, 300, method="fork")
        rows = rows_of(pool, 150)
        text = "\n".join(f"{n} {row.outcome}" for n, row in sorted(rows.items()))
        (tmp_path / "rows").write_text(text)

    process = multiprocessing.get_context("fork").Process(target=campaign)
    process.start()
    time.sleep(0.5)
    threads = pathlib.Path(f"/proc/{process.pid}/task").glob("*/children")
    workers = [int(pid) for thread in threads for pid in thread.read_text().split()]
    os.kill(workers[0], signal.SIGSTOP)
    time.sleep(0.3)
    os.kill(process.pid, signal.SIGSTOP)
    time.sleep(2.5)
    os.kill(process.pid, signal.SIGCONT)
    process.join(60)
    lines = (tmp_path / "rows").read_text().splitlines()
    assert lines == [f"{n} {fake_row(n).outcome}" for n in range(150)]
