# SPDX-License-Identifier: Apache-2.0
"""One engine: inferences and trainings of a Keras model, killed, resumed, reported."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from tests import inference_files, own_step_files
from tests.inference_files import kept_rows
from tpufi.campaign.journal.reader import Reader
from tpufi.errors import InputError

TPUFI = [sys.executable, "-m", "tpufi"]
# What every report has, whatever the faults were injected into.
SECTIONS = (*("notes", "outcomes", "by_model", "layer_model", "comparisons", "run"),)
MODELS = "[FLIP, STUCK_AT_1, RANDOM_VALUE, CHANNEL_ZERO, N64_WT, RD]"


def start(*words: object) -> subprocess.Popen:
    return subprocess.Popen([*TPUFI, *map(str, words)], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)  # fmt: skip


def done(*words: object) -> str:
    process = start(*words)
    out, error = process.communicate()
    assert process.returncode == 0, error
    return out


def count(folder: pathlib.Path) -> int:
    try:
        with Reader.open(folder) as journal:
            return journal.count()
    except InputError:
        return 0


def inference_plan(folder: pathlib.Path) -> pathlib.Path:
    return inference_files.write_files(
        folder, experiments="200", faults=MODELS, rounds="2", threads="1"
    )


def training_plan(folder: pathlib.Path) -> pathlib.Path:
    return own_step_files.write_files(folder, experiments="200", faults=MODELS)


@pytest.mark.slow
@pytest.mark.parametrize("write", [inference_plan, training_plan])
def test_a_program_of_a_file_is_run_killed_resumed_and_reported(write, tmp_path):
    plan, out = write(tmp_path / "files"), tmp_path / "out"
    command = ("campaign", "run", plan, "--out", out, "--window", 50, "--block", 2)
    process = start(*command)
    while process.poll() is None and not count(out):
        time.sleep(0.05)
    was_killed = process.poll() is None
    if was_killed:
        os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert was_killed and 0 < count(out) < 200
    done(*command, "--workers", 2)
    done("campaign", "run", plan, "--out", tmp_path / "whole")
    assert count(out) == 200 and kept_rows(out) == kept_rows(tmp_path / "whole")
    status = done("campaign", "status", out, "--by", "model")
    assert set(MODELS.strip("[]").split(", ")) <= set(status.split())
    replay = ("replay", "--campaign", out, "--experiment", 3, 199)
    replayed = done(*replay, "--plan", plan)
    alone = start(*replay)
    assert "name its campaign file with --plan" in alone.communicate()[1]
    assert alone.returncode == 2
    assert "2 of 2 are identical to their rows" in replayed
    page = pathlib.Path(done("campaign", "report", out).strip()).read_text()
    assert [key for key in SECTIONS if f'<section id="{key}"' not in page] == []
    assert "200 experiments" in page
