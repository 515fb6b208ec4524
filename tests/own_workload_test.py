# SPDX-License-Identifier: Apache-2.0
"""A workload in a file of the user: `mine.py:NAME` wherever a name is taken."""

import pathlib
import subprocess
import sys

import pytest

from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.plan_file import read_plan
from tpufi.cli.detect import COMMAND as DETECT
from tpufi.detect.calibration import read_calibration
from tpufi.errors import InputError
from tpufi.models import any_workload

TPUFI = [sys.executable, "-m", "tpufi"]
SOURCE = """
from tpufi import Workload
from tpufi.layers import Dense, GlobalAveragePooling, ReLU, Sequence
from tpufi.models.resnet18 import convolution
from tpufi.optimizers import Adam, LinearDecay

LAYERS = (convolution("conv", 4, 3), ReLU("relu"), GlobalAveragePooling("pool"))
TINY = Workload(
    name="tiny",
    model=Sequence((*LAYERS, Dense("fc", 10))),
    optimizer=Adam(),
    schedule=LinearDecay(final=0.001, steps=100),
    learning_rate=0.01,
)
NOT_ONE = 3
"""
PLAN = """
workload: mine.py:TINY
golden: golden
seed: 3
experiments: 6
faults: [RD, ZERO]
epochs: 0
steps: 1-3
replicas: 0-1
horizon: 2
"""


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "mine.py").write_text(SOURCE)
    (tmp_path / "plan.yaml").write_text(PLAN)
    return tmp_path


def done(folder: pathlib.Path, *words: object) -> str:
    command = [*TPUFI, *map(str, words)]
    run = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_a_campaign_of_an_own_workload_runs_and_its_rows_replay(folder):
    own = "mine.py:TINY"
    size = ("--data", "synthetic:64", "--replicas", 2, "--per-replica", 4)
    done(folder, "golden", "--model", own, "--out", "golden", "--steps", 8, *size)
    done(folder, "campaign", "run", "plan.yaml", "--out", "out")
    with Reader.open(folder / "out") as journal:
        assert journal.count() == 6
        assert journal.plan()["workload"] == own
    replay = ("replay", "--campaign", "out", "--experiment", 1, 5)
    told = done(folder, *replay, "--plan", "plan.yaml")
    assert "2 of 2 are identical to their rows" in told
    done(folder, "campaign", "report", "out")
    sites = done(folder, "sites", "--workload", own, "--per-replica", 4)
    assert "conv/grad_wt/output" in sites
    done(folder, "draw", "--workload", own, "--seed", 1, "--count", 2, "--csv", "csv",
         "--steps", "1-3", "--replicas", "0-1", "--epochs", "0-0")  # fmt: skip
    text = (folder / "csv" / "fault_1.csv").read_text()
    assert f"{folder.resolve()}/mine.py:TINY" in text


def test_detectors_are_calibrated_on_an_own_workload(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    given = "calibrate --model mine.py:TINY --data synthetic:64 --detectors non_finite"
    size = "--replicas 1 --per-replica 4 --steps 2 --out c.json"
    assert DETECT.main([*given.split(), *size.split()]) == 0
    assert "2 clean steps of " in capsys.readouterr().out
    assert read_calibration("c.json").workload == f"{folder.resolve()}/mine.py:TINY"


def test_its_name_is_the_whole_path_and_that_of_the_plan_the_file(folder):
    found = any_workload(str(folder / "mine.py:TINY"))
    assert found.name == f"{folder.resolve()}/mine.py:TINY"
    plan = read_plan(folder / "plan.yaml")
    assert plan.workload == found.name
    before = plan.identity()
    assert before["workload"] == "mine.py:TINY"
    (folder / "mine.py").write_text(SOURCE + "\n# changed\n")
    after = read_plan(folder / "plan.yaml").identity()
    assert before["own workload"] != after["own workload"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mine.py:NOT_ONE", "mine.py:NOT_ONE: int; expected a tpufi.Workload"),
        ("mine.py:TINI", "mine.py: no 'TINI'; nearest: TINY"),
        ("other.py:TINY", "other.py: no such file"),
        ("tiny", "workload 'tiny' is not available"),
    ],
)
def test_what_is_no_workload_is_one_line(folder, name, message):
    (folder / "plan.yaml").write_text(PLAN.replace("mine.py:TINY", name))
    with pytest.raises(InputError) as found:
        read_plan(folder / "plan.yaml")
    assert message in str(found.value) and "\n" not in str(found.value)
