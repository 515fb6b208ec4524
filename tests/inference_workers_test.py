# SPDX-License-Identifier: Apache-2.0
"""The tool of inference campaigns: any number of workers, killed on the way."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from tests.inference_files import kept_rows, write_files
from tpufi.campaign.journal.reader import Reader
from tpufi.errors import InputError

RUN = [sys.executable, "-m", "tpufi", "inference", "run"]


def start(plan: pathlib.Path, out: pathlib.Path, workers: int) -> subprocess.Popen:
    command = [*RUN, str(plan), "--out", str(out), "--workers", str(workers)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True, start_new_session=True)  # fmt: skip


def count(out: pathlib.Path) -> int:
    try:
        with Reader.open(out) as journal:
            return journal.count()
    except InputError:
        return 0


@pytest.mark.slow
def test_one_worker_two_workers_and_kills_give_the_same_rows(tmp_path):
    plan = write_files(tmp_path, experiments="1200")
    for workers in (1, 2):
        done = start(plan, tmp_path / f"out{workers}", workers)
        assert done.wait() == 0, done.stderr.read()
    kills = 0
    while kills < 3:
        process = start(plan, tmp_path / "killed", 2)
        before = count(tmp_path / "killed")
        while process.poll() is None and count(tmp_path / "killed") <= before:
            time.sleep(0.05)
        if process.poll() is not None:
            break
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        kills += 1
    assert kills >= 1
    last = start(plan, tmp_path / "killed", 2)
    assert last.wait() == 0, last.stderr.read()
    rows = kept_rows(tmp_path / "out1")
    assert rows == kept_rows(tmp_path / "out2") == kept_rows(tmp_path / "killed")
    assert len(rows) == 1200 * 6


@pytest.mark.slow
def test_wrong_input_is_one_line_and_exit_code_2(tmp_path):
    plan = write_files(tmp_path, program="none.py:make")
    done = start(plan, tmp_path / "out", 1)
    assert done.wait() == 2
    message = done.stderr.read()
    assert message.count("\n") == 1 and "none.py: no such file" in message
    assert not (tmp_path / "out").exists()
