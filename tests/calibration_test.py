# SPDX-License-Identifier: Apache-2.0
"""Thresholds of detectors from clean steps, and their file."""

import dataclasses
import json

import pytest

from tests.tiny_workload import TINY
from tpufi.cli.detect import COMMAND
from tpufi.data import Batches, load_dataset
from tpufi.detect import WatchedSession, detector
from tpufi.detect.calibration import calibrate, read_calibration
from tpufi.errors import InputError
from tpufi.models import WORKLOADS
from tpufi.training import Program, Session

NAMES = ("history_bounds", "gradient_norm_z_score", "state_checksum")
STEPS = 24


@pytest.fixture(scope="module")
def session() -> Session:
    small = dataclasses.replace(TINY, input_shape=(32, 32, 3))
    batches = Batches(load_dataset("synthetic:64"), 7, 2, 4)
    return Session(Program(small, 2, 4), batches, 7, 0.001)


def test_thresholds_are_the_largest_clean_scores_times_the_margin(session, tmp_path):
    seen = []
    found = calibrate(session, NAMES, STEPS, 2.0, seen.append)
    assert seen == list(range(STEPS))
    watched = WatchedSession(session, {name: detector(name) for name in NAMES})
    state, memory, scores = session.initial_state(), watched.memory(), []
    for number in range(STEPS):
        step = watched.step(state, number, memory)
        state, memory = step.result.state, step.memory
        scores.append(step.scores)
    for name in NAMES[:2]:
        largest = max(s[name] for s in scores)
        assert found.largest[name] == largest > 0
        assert found.thresholds[name] == 2 * largest
    # A sum of bits is right or not: nothing is to be fitted.
    assert found.largest["state_checksum"] == found.thresholds["state_checksum"] == 0
    found.write(tmp_path / "c.json")
    again = read_calibration(tmp_path / "c.json")
    assert again == found and (again.seed, again.steps) == (7, STEPS)
    assert again.detectors()["history_bounds"].threshold == 2 * found.largest[NAMES[0]]


def test_numbers_that_fit_no_threshold_are_refused(session):
    with pytest.raises(InputError, match="steps 0, margin 3.0: expected at least 1"):
        calibrate(session, NAMES, 0)
    with pytest.raises(InputError, match="margin 0.5"):
        calibrate(session, NAMES, 1, 0.5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"thresholds": {"nan": 1.0}}, "detector 'nan'; known"),
        ({"thresholds": {"non_finite": -1}}, "threshold -1 of non_finite"),
        ({"colour": 1}, "unexpected keyword argument 'colour'"),
    ],
)
def test_a_file_that_is_none_is_refused(change, message, tmp_path):
    entries = dict(
        workload="tiny", data="x", seed=1, replicas=1, per_replica=1, steps=1,
        margin=3.0, largest={}, thresholds={},
    )  # fmt: skip
    path = tmp_path / "c.json"
    path.write_text(json.dumps(entries | change))
    with pytest.raises(InputError, match=message):
        read_calibration(path)


def test_the_command_writes_the_file(tmp_path, capsys, monkeypatch):
    small = dataclasses.replace(TINY, name="small", input_shape=(32, 32, 3))
    monkeypatch.setitem(WORKLOADS, "small", small)
    out = tmp_path / "c.json"
    given = "calibrate --model small --data synthetic:64 --replicas 1 --per-replica 4"
    COMMAND.main([*given.split(), "--steps", "3", "--out", str(out)])
    assert "3 clean steps of small, seed " in capsys.readouterr().out
    assert read_calibration(out).steps == 3
    COMMAND.main(["list"])
    assert capsys.readouterr().out.startswith("non_finite ")
