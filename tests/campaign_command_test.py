# SPDX-License-Identifier: Apache-2.0
"""The commands of a campaign as a user types them, with a real network."""

import contextlib
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest

from tests.campaign_runs import kept_rows
from tpufi.errors import InputError
from tpufi.golden import GoldenConfig, train_golden

ROOT = pathlib.Path(__file__).resolve().parents[1]
PLAN = """\
workload: resnet18
golden: golden
seed: 3
experiments: 12
epochs: 0
steps: 1-3
replicas: 0
horizon: 2
sites: {weights: sites}
propagation: yes
"""


def tool(name: str, *arguments) -> subprocess.Popen:
    """Start a tool in a process of its own."""
    return subprocess.Popen(
        [sys.executable, ROOT / "tools" / name, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def run(name: str, *arguments, code: int = 0) -> str:
    process = tool(name, *arguments)
    out, error = process.communicate()
    assert process.returncode == code, error
    return out


@pytest.mark.slow
def test_a_campaign_is_stopped_taken_up_looked_at_and_replayed(tmp_path):
    config = GoldenConfig("resnet18", "synthetic:64", replicas=1, per_replica=2)
    train_golden(config, tmp_path / "golden", 6, 3)
    file, folder = tmp_path / "campaign.yaml", tmp_path / "c"
    file.write_text(PLAN)
    process = tool("campaign.py", "run", file, "--out", folder, "--block", 1)
    deadline = time.monotonic() + 900
    while time.monotonic() < deadline:
        with contextlib.suppress(InputError):  # Not begun yet.
            if kept_rows(folder):
                break
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate()
    assert process.returncode == 130, error
    assert error.splitlines()[-1] == "Interrupted. Run the same command to resume"
    done = len(kept_rows(folder))
    assert 0 < done < 12
    assert f"{done} experiments in 1 session" in run("campaign.py", "status", folder)
    boards = tmp_path / "boards"
    again = ("campaign.py", "run", file, "--out", folder, "--tensorboard", boards)
    assert "all 12 experiments are done" in run(*again)
    assert len(kept_rows(folder)) == 12
    assert list(boards.glob("events.out.tfevents.*"))
    assert {f.name for f in boards.iterdir() if f.is_dir()} == {"golden", "faulty"}
    found = run("replay.py", "--campaign", folder, "--experiment", 7)
    assert "identical to its row in the journal" in found
    measured = run("campaign.py", "plan", file, "--calibrate", 2).splitlines()[-1]
    pattern = r"measured: \S+ s an experiment, \S+ s a golden step, \S+ s to start; .*"
    assert re.fullmatch(pattern, measured)
    wrong = tool("replay.py", "--campaign", folder, "--experiment", 12)
    assert "no experiment 12; it has 12" in wrong.communicate()[1]
    assert wrong.returncode == 2
