# SPDX-License-Identifier: Apache-2.0
"""What a replay is judged by: several golden runs, test images, thresholds."""

import dataclasses
import json
import pathlib

import pytest

from tests.tiny_workload import tiny_as_published
from tpufi.cli.replay import COMMAND as replay_tool
from tpufi.errors import InputError
from tpufi.experiment.judge import Judge
from tpufi.experiment.replay import replay
from tpufi.faults.csv import write_injection
from tpufi.faults.injection import Injection
from tpufi.golden import GoldenConfig, find_start, train_golden
from tpufi.outcomes.outcome_thresholds import DEFAULT_FILE, read_thresholds

CONFIG = GoldenConfig("resnet18", "synthetic:64", replicas=2, per_replica=4)
FIRST, STEPS = 2, 6
LIMITS = read_thresholds()
FAULT = Injection(
    model="resnet18",
    stage="fwrd_inject",
    fmodel="RD",
    target_worker=1,
    target_layer="block_conv2",
    target_epoch=0,
    target_step=FIRST,
    inj_pos=((1, 0, 0, 0),),
    inj_values=(5.0,),
    learning_rate=0.001,
)


@pytest.fixture(scope="module")
def tiny():
    with tiny_as_published("resnet18", "nfnet"):
        yield


@pytest.fixture(scope="module")
def session(tiny):
    return CONFIG.session()


@pytest.fixture(scope="module")
def golden(session, tmp_path_factory):
    path = tmp_path_factory.mktemp("golden")
    train_golden(CONFIG, path, STEPS, FIRST, session)
    return path


@pytest.fixture(scope="module")
def other(session, golden, tmp_path_factory):
    path = tmp_path_factory.mktemp("other")
    config = dataclasses.replace(CONFIG, seed=124, start=find_start(golden, FIRST))
    session = config.session(program=session.program)
    train_golden(config, path, STEPS, 9, session, golden)
    return path


def judged(golden, session, out, judge, **options):
    return replay(
        FAULT, golden, name="x", out=out, session=session, judge=judge, **options
    )


def test_the_band_and_the_test_images_take_part(golden, other, session, tmp_path):
    judge = Judge(LIMITS, lambda: (other,), validate=True)
    result = judged(golden, session, tmp_path, judge)
    assert len(result.others) == 1 and len(result.others[0]) == STEPS - FIRST
    assert result.others[0] != result.golden
    assert len(result.validation.golden) == 2
    last = json.loads(result.paths[1].read_text().splitlines()[-1])
    assert last == {
        "kind": "outcome",
        "outcome": result.outcome,
        "thresholds": dataclasses.asdict(LIMITS),
        "golden_runs": 2,
        "validation": {
            "faulty": result.validation.faulty,
            "golden": list(result.validation.golden),
        },
    }


def test_the_control_has_the_golden_accuracy_on_the_test_images(
    golden, session, tmp_path
):
    judge = Judge(LIMITS, validate=True)
    result = judged(golden, session, tmp_path, judge, with_fault=False)
    assert (result.validation.faulty,) == result.validation.golden


def test_the_thresholds_decide_and_are_recorded(golden, session, tmp_path):
    strict = dataclasses.replace(LIMITS, sharp=1.0, further=0.0)
    faults = [
        judged(golden, session, tmp_path / str(i), Judge(limits))
        for i, limits in enumerate((LIMITS, strict))
    ]
    assert [len(f.faulty) for f in faults] == [STEPS - FIRST] * 2
    text = faults[1].paths[1].read_text()
    assert '"thresholds": {"immediate": 1, "sharp": 1.0, "further": 0.0,' in text


def test_golden_runs_that_do_not_reach_or_fit_are_refused(
    golden, other, session, tmp_path
):
    short = tmp_path / "short"
    train_golden(CONFIG, short, STEPS - 1, 9, session)
    with pytest.raises(InputError, match="has 3 of the steps 2 to 5; train it on"):
        judged(golden, session, tmp_path / "a", Judge(LIMITS, lambda: (short,)))
    config = dataclasses.replace(CONFIG, workload="nfnet")
    train_golden(config, tmp_path / "nfnet", 1, 9)
    judge = Judge(LIMITS, lambda: (tmp_path / "nfnet",))
    with pytest.raises(InputError, match="a golden run of nfnet; the band needs"):
        judged(golden, session, tmp_path / "b", judge)
    judge = Judge(LIMITS, validate=True)
    with pytest.raises(InputError, match="no checkpoint after 5 steps to validate"):
        judged(golden, session, tmp_path / "c", judge, horizon=3)
    for folder in "abc":
        assert all(p.suffix == ".partial" for p in (tmp_path / folder).iterdir())


def test_the_tool_takes_band_validation_and_thresholds(
    golden, other, session, tmp_path, capsys
):
    file, limits = tmp_path / "fault.csv", tmp_path / "mine.toml"
    write_injection(FAULT, file)
    text = pathlib.Path(DEFAULT_FILE).read_text()
    limits.write_text(text.replace("widths = 3.0", "widths = 2.5"))
    options = ["--file", file, "--golden", golden, "--out", tmp_path / "out"]
    options += ["--band", other, "--validate", "--thresholds", limits]
    assert replay_tool.main([str(o) for o in options]) == 0
    assert (
        "thresholds: immediate 1, sharp 0.5, further 0.75, late 0.5, excess 0.1, "
        "widths 2.5, test_drop 0.1" in capsys.readouterr().out
    )
    record = (tmp_path / "out" / "replay_resnet18_fault.jsonl").read_text()
    assert '"golden_runs": 2' in record and '"widths": 2.5' in record
