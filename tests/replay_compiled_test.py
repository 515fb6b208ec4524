# SPDX-License-Identifier: Apache-2.0
"""Replays of a compiled golden run: the same meaning as in graph mode."""

import dataclasses
import json

import numpy as np
import pytest

from tests.campaign_runs import SMALL
from tpufi import models
from tpufi.cli.replay import COMMAND as command
from tpufi.errors import InputError
from tpufi.experiment.replay import replay
from tpufi.faults.csv import write_injection
from tpufi.faults.injection import Injection
from tpufi.golden import GoldenConfig, GoldenFolder, train_golden
from tpufi.show.spread import spread
from tpufi.show.subject import from_file

CONFIG = GoldenConfig(
    "resnet18", "synthetic:64", replicas=1, per_replica=4, compiled=True
)
STEPS, FAULTY = 6, 2
FAULT = Injection(
    model="resnet18",
    stage="fwrd_inject",
    fmodel="N16_RD",
    target_worker=0,
    target_layer="conv1",
    target_epoch=0,
    target_step=FAULTY,
    inj_pos=((1, 3, 3, 2), (1, 3, 3, 3)),
    inj_values=(40.0, -7.0),
    learning_rate=0.001,
)


@pytest.fixture(scope="module", autouse=True)
def small():
    """Let a small network have a name that a file may have."""
    with pytest.MonkeyPatch.context() as patch:
        work = dataclasses.replace(SMALL, name="resnet18")
        patch.setitem(models.WORKLOADS, "resnet18", work)
        yield


@pytest.fixture(scope="module")
def session(small):
    return CONFIG.session(sites={FAULT.site_name})


@pytest.fixture(scope="module")
def golden(session, tmp_path_factory):
    path = tmp_path_factory.mktemp("golden")
    train_golden(CONFIG, path, STEPS, 3, session)
    return path


def states(path) -> list[str]:
    return [line["state"] for line in GoldenFolder(path).read_lines("steps.jsonl")]


def entries(result) -> list[dict]:
    return [json.loads(line) for line in open(result.paths[1])]


def test_a_fault_changes_the_run_and_the_record_says_where_it_ran(
    session, golden, tmp_path
):
    result = replay(FAULT, golden, name="x", out=tmp_path, session=session)
    assert session.program.traces == 2
    found = [point.state for point in result.faulty]
    assert len(found) == STEPS - FAULTY
    assert not set(found) & set(states(golden))
    head, *_ = entries(result)
    assert (head["device"], head["compiled"]) == ("cpu", True)


def test_a_fault_that_writes_what_is_there_leaves_the_golden_run(
    session, golden, tmp_path
):
    result = replay(FAULT, golden, name="x", out=tmp_path, horizon=1, session=session)
    injected = next(e["injection"] for e in entries(result) if "injection" in e)
    bits = tuple(int(word, 16) for word in injected["golden_bits"])
    values = np.array(bits, np.uint32).view(np.float32).tolist()
    same = dataclasses.replace(FAULT, inj_values=tuple(values), inj_bits=bits)
    result = replay(same, golden, name="same", out=tmp_path, session=session)
    assert [point.state for point in result.faulty] == states(golden)[FAULTY:]
    assert result.outcome == "masked (bit-identical to golden)"


def test_the_control_is_the_armed_program(session, golden, tmp_path):
    result = replay(
        FAULT, golden, name="x", out=tmp_path, with_fault=False, session=session
    )
    assert result.outcome.startswith("masked")
    for point, right in zip(result.faulty, result.golden, strict=True):
        assert point.loss == pytest.approx(right.loss, rel=1e-4)
    assert session.program.traces == 2


def test_another_compilation_than_the_golden_runs_is_refused(golden, tmp_path):
    file = tmp_path / "fault.csv"
    write_injection(FAULT, file)
    arguments = ["--file", str(file), "--golden", str(golden), "--out", str(tmp_path)]
    with pytest.raises(InputError, match=r"on cpu \(compiled\), and cpu \(graph\)"):
        command.main([*arguments, "--no-compile"])


@pytest.mark.slow
def test_the_spread_of_a_compiled_step_is_shown(golden, tmp_path):
    file = tmp_path / "fault.csv"
    write_injection(FAULT, file)
    found = spread(from_file(file, golden))
    first, *_ = found.layers.values()
    assert first.changed == 2 and found.losses[0] != found.losses[1]
