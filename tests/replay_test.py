# SPDX-License-Identifier: Apache-2.0
"""Golden runs and replays of the real ResNet-18 at a small batch."""

import dataclasses
import json
import math
import pathlib
import shutil
import subprocess
import sys

import pytest

from tests.golden_lines import with_other_state
from tpufi.cli.replay import COMMAND, injection_files
from tpufi.errors import InputError
from tpufi.experiment.replay import replay
from tpufi.faults.csv import read_injection, write_injection
from tpufi.faults.injection import Injection
from tpufi.golden import GoldenConfig, GoldenFolder, train_golden
from tpufi.training import program

pytestmark = pytest.mark.large

ROOT = pathlib.Path(__file__).resolve().parents[1]
CONFIG = GoldenConfig("resnet18", "synthetic:64", per_replica=2)  # 4 steps an epoch.
STEPS = 7
PUBLISHED = ROOT / "injections" / "resnet18"

# In the small batch, where the published output position does not exist.
OUTPUT = Injection(
    model="resnet18",
    stage="fwrd_inject",
    fmodel="N16_RD",
    target_worker=6,
    target_layer="basicblock_2_basic_0_conv2",
    target_epoch=0,
    target_step=2,
    inj_pos=((1, 3, 3, 85), (1, 3, 3, 84), (0, 0, 0, 7)),
    inj_values=(math.nan, -2.5, 1e30),
    learning_rate=0.001,
    inj_bits=(0x7FC00123, 0xC0200000, 0x7149F2CA),
)


@pytest.fixture(scope="module")
def session():
    return CONFIG.session()


@pytest.fixture(scope="module")
def golden(session, tmp_path_factory):
    path = tmp_path_factory.mktemp("golden")
    train_golden(CONFIG, path, STEPS, 3, session)
    return path


def states(path: pathlib.Path) -> list[str]:
    return [line["state"] for line in GoldenFolder(path).read_lines("steps.jsonl")]


def test_a_killed_golden_run_goes_on_to_the_same_bits(session, golden, tmp_path):
    train_golden(CONFIG, tmp_path, 3, 3, session)
    folder = GoldenFolder(tmp_path)
    # As a kill leaves it: newer lines, one of them cut, and half a checkpoint.
    folder.append("steps.jsonl", {"number": 3, "loss": 9.0, "state": "lost"})
    with open(tmp_path / "steps.jsonl", "a") as file:
        file.write('{"number": 4, "lo')
    (tmp_path / ".state_00000006.npz.partial").write_bytes(b"half")
    train_golden(CONFIG, tmp_path, STEPS, 3, session)
    assert states(tmp_path) == states(golden)
    assert folder.checkpoints() == [3, 6, 7]
    assert len(folder.read_lines("epochs.jsonl")) == 1


def test_a_finished_golden_run_is_left_alone(session, golden):
    before = {p.name: p.stat().st_mtime_ns for p in golden.iterdir()}
    train_golden(CONFIG, golden, STEPS - 2, 3, session)
    assert {p.name: p.stat().st_mtime_ns for p in golden.iterdir()} == before


def test_the_zero_fault_control_is_the_golden_run_bit_for_bit(
    session, golden, tmp_path
):
    result = replay(
        read_injection(PUBLISHED / "inj_masked.csv"), golden, name="x", out=tmp_path,
        epoch=0, step=2, with_fault=False, session=session,
    )  # fmt: skip
    assert len(result.faulty) == STEPS - 2 >= 5
    assert [p.state for p in result.faulty] == states(golden)[2:]
    assert result.outcome.startswith("masked (bit-identical")


def test_files_and_folders_are_replayed_by_one_program(
    golden, tmp_path, monkeypatch, capsys
):
    compiled = []
    monkeypatch.setattr(program, "compiling", compiled.append)
    files = tmp_path / "files"
    files.mkdir()
    write_injection(OUTPUT, files / "output.csv")
    shutil.copy(PUBLISHED / "inj_masked.csv", files / "first.csv")
    more = tmp_path / "third.csv"
    write_injection(dataclasses.replace(OUTPUT, fmodel="RD"), more)
    given = ["--file", str(files), str(more), "--golden", str(golden)]
    how = ["--epoch", "0", "--step", "2", "--horizon", "3", "--out", str(tmp_path)]
    COMMAND.main([*given, *how])
    assert sorted(set(compiled)) == sorted(compiled)  # Each of them once.
    assert "the training step with fault sites" in compiled
    *lines, counts, _, _ = capsys.readouterr().out.splitlines()
    titles = [line.split()[0] for line in lines[-4:]]
    names = [f"replay_resnet18_{name}" for name in ("first", "output", "third")]
    assert titles == ["replay", *names]
    assert counts.startswith("3 replays: ")
    one = replay_alone(more, golden, tmp_path / "alone")
    assert (tmp_path / one.name).read_bytes() == one.read_bytes()


def replay_alone(file, golden, out) -> pathlib.Path:
    how = {"epoch": 0, "step": 2, "horizon": 3, "out": out, "name": file.stem}
    return replay(read_injection(file), golden, **how).paths[0]


def test_files_of_one_name_and_an_empty_folder_are_refused(tmp_path):
    (tmp_path / "a").mkdir()
    shutil.copy(PUBLISHED / "inj_masked.csv", tmp_path / "a")
    with pytest.raises(InputError, match="both are called inj_masked, and so are"):
        injection_files([tmp_path / "a", PUBLISHED / "inj_masked.csv"])
    (tmp_path / "b").mkdir()
    with pytest.raises(InputError, match=r"b: no file \*.csv in it"):
        injection_files([tmp_path / "b"])


def test_one_replay_in_two_processes_gives_the_same_files(session, golden, tmp_path):
    file = tmp_path / "slow.csv"
    # The published weight fault, with a value that changes every step after it.
    weight = read_injection(PUBLISHED / "inj_masked.csv")
    weight = dataclasses.replace(weight, inj_values=(40.0,))
    write_injection(weight, file)
    here, there = tmp_path / "here", tmp_path / "there"
    replay(weight, golden, name="slow", out=here, epoch=0, step=2, session=session)
    command = [sys.executable, "tools/replay.py", "--file", file, "--golden", golden]
    run = subprocess.run(
        [*command, "--out", there, "--epoch", "0", "--step", "2"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-2000:]
    names = sorted(p.name for p in here.iterdir())
    assert names == ["replay_resnet18_slow.jsonl", "replay_resnet18_slow.txt"]
    for name in names:
        assert (here / name).read_bytes() == (there / name).read_bytes()
    lines = [json.loads(line) for line in open(here / names[0])]
    steps = [line for line in lines if line["kind"] == "step"]
    assert [s["loss"] == s["golden_loss"] for s in steps[:3]] == [True, True, False]


def test_the_record_names_what_was_injected_with_its_bits(session, golden, tmp_path):
    result = replay(
        OUTPUT, golden, name="nan", out=tmp_path, horizon=3, session=session
    )
    assert result.outcome == "immediate INF/NaN"
    assert len(result.faulty) == 1 and math.isnan(result.faulty[0].loss)
    text, lines = (path.read_text().splitlines() for path in result.paths)
    assert text[:3] == [
        "Inject to epoch: 0", "Inject to step: 2", "Load weights from golden step 2",
    ]  # fmt: skip
    assert text[3].startswith("Epoch: 0/2, step: 0/4, loss: ")
    assert text[5:8] == [
        "Inject worker: 6",
        "Inject layer: basicblock_2_basic_0_conv2",
        "Shape for target layer is (2, 8, 8, 128)",
    ]
    assert text[8].startswith("Position is 1/3/3/85, Golden data is ")
    assert text[9].endswith("inject data is -2.5")
    assert text[-1] == "Encounter NaN! Terminate training!"
    injected = [json.loads(line) for line in lines][3]
    assert injected["loss"] == "nan"
    assert injected["injection"]["faulty_bits"] == [
        "0x7fc00123", "0xc0200000", "0x7149f2ca",
    ]  # fmt: skip
    assert len(set(injected["injection"]["golden_bits"])) == 3


def test_a_replay_crosses_the_end_of_an_epoch(session, golden, tmp_path):
    result = replay(
        read_injection(PUBLISHED / "inj_masked.csv"), golden, name="m", out=tmp_path,
        epoch=0, step=3, horizon=2, session=session,
    )  # fmt: skip
    text = result.paths[0].read_text()
    assert text.count("End of epoch: 0/2, train loss: ") == 1
    assert "Epoch: 1/2, step: 0/4" in text


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"model": "resnet18_sgd"}, {}, "for resnet18_sgd, the golden run of resnet18"),
        ({"learning_rate": 0.5}, {}, "--learning-rate 0.5"),
        ({}, {"epoch": 9}, "has 7 steps and does not reach epoch 9 step 2"),
        ({}, {"step": 4}, "has steps 0 to 3"),
        ({"inj_pos": ((2, 0, 0, 0),) * 1, "inj_values": (1.0,), "inj_bits": None}, {},
         "index 0 is 2; expected 0 to 1"),
        ({"target_layer": "conv9"}, {}, "unknown layer"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_an_input_error(
    change, options, message, session, golden, tmp_path
):
    injection = dataclasses.replace(OUTPUT, **change)
    with pytest.raises(InputError, match=message):
        replay(
            injection, golden, name="x", out=tmp_path / "out", session=session,
            **options,
        )  # fmt: skip
    assert not (tmp_path / "out").exists()


def test_a_golden_run_of_other_options_is_not_continued(session, golden):
    other = dataclasses.replace(CONFIG, seed=5)
    with pytest.raises(InputError, match="with seed 123, not 5"):
        train_golden(other, golden, STEPS, 3, session)


def test_damaged_golden_files_are_named(session, golden, tmp_path):
    copy = tmp_path / "golden"
    shutil.copytree(golden, copy)
    checkpoint = copy / "state_00000003.npz"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1000])
    with pytest.raises(InputError, match="state_00000003.npz: damaged checkpoint"):
        replay(OUTPUT, copy, name="x", out=tmp_path, step=3, session=session)
    with_other_state(GoldenFolder(copy), 1)
    with pytest.raises(InputError, match="not bit-identical to the golden run's"):
        replay(OUTPUT, copy, name="x", out=tmp_path, step=2, session=session)
    (copy / "manifest.json").write_text("{")
    with pytest.raises(InputError, match="manifest.json: damaged manifest"):
        replay(OUTPUT, copy, name="x", out=tmp_path, session=session)


def test_all_these_replays_used_one_armed_trace_per_number_of_runs(session):
    # OUTPUT has two runs of consecutive positions, everything else one; the golden run
    # and what follows a fault is clean.
    assert session.program.traces == 3
