# SPDX-License-Identifier: Apache-2.0
"""An imported checkpoint is the start of a golden run, whole or not there."""

import json
import pathlib
import re

import numpy as np
import pytest

from tests.artefact_models import Adam, Weights, resnet18
from tests.artefact_small import write
from tpufi import cli
from tpufi.cli.import_checkpoint import COMMAND as import_checkpoint
from tpufi.contrib.isca23.checkpoint import (
    Origin,
    by_order,
    import_into,
    imported_state,
    read_checkpoint,
)
from tpufi.errors import InputError
from tpufi.experiment.replay import replay
from tpufi.faults.csv import read_injection
from tpufi.golden import GoldenConfig, GoldenFolder
from tpufi.models import workload
from tpufi.training import same_state, state_digest

ROOT = pathlib.Path(__file__).resolve().parents[1]
RUN = ("--workload", "resnet18", "--data", "synthetic:64", "--per-replica", "2")
UPDATES = 8  # After epoch 1 of the four steps that 64 images make.


@pytest.fixture(scope="module")
def prefix(tmp_path_factory) -> str:
    root = resnet18(Weights(3))
    trained = [v for v in root.trainable_variables if "moving" not in v.name]
    root.optimizer = Adam(trained, UPDATES)
    return write(root, tmp_path_factory.mktemp("checkpoint") / "epoch_1")


@pytest.fixture(scope="module")
def state(prefix):
    checkpoint, work = read_checkpoint(prefix), workload("resnet18")
    return imported_state(checkpoint, by_order(checkpoint, work), work, UPDATES)[0]


def tool(*arguments: object) -> int:
    with pytest.raises(SystemExit) as exit_:
        cli.run(lambda _: import_checkpoint.main([str(a) for a in arguments]))
    return exit_.value.code


def test_the_folder_holds_the_state_its_number_and_its_origin(
    prefix, state, tmp_path, capsys
):
    out = tmp_path / "runs" / "imported"
    assert tool("--checkpoint", prefix, *RUN, "--out", out) == 0
    assert "starts at epoch 2 step 0 (step 8 of training)" in capsys.readouterr().out
    assert sorted(p.name for p in out.iterdir()) == [
        "manifest.json", "state_00000008.npz",
    ]  # fmt: skip
    assert [p.name for p in out.parent.iterdir()] == ["imported"]
    config, manifest = GoldenFolder(out).read_manifest()
    assert config.start.step == UPDATES and config.start.state == state_digest(state)
    assert config.start.run == GoldenConfig("resnet18", "synthetic:64", per_replica=2)
    assert same_state(GoldenFolder(out).load(workload("resnet18"), UPDATES), state)
    origin = manifest["imported"]
    assert origin["checkpoint"] == prefix and len(origin["sha256"]) == 64
    assert origin["slots"] == "slots are the checkpoint's"
    assert (origin["matched"], origin["updates"]) == ("by order", "checkpoint")


def test_the_same_import_again_changes_nothing_and_another_is_refused(
    prefix, state, tmp_path
):
    out = tmp_path / "golden"
    config = GoldenConfig("resnet18", "synthetic:64", per_replica=2)
    session = config.session()
    origin = Origin("a", "1" * 64, "by order", "", "")
    first = import_into(out, config, session, state, origin)
    times = {p.name: p.stat().st_mtime_ns for p in out.iterdir()}
    assert import_into(out, config, session, state, origin) == first
    assert {p.name: p.stat().st_mtime_ns for p in out.iterdir()} == times
    other = Origin("b", "2" * 64, "by order", "", "")
    with pytest.raises(InputError, match="golden: holds another golden run than this"):
        import_into(out, config, session, state, other)
    (out / "manifest.json").unlink()
    with pytest.raises(InputError, match="no golden run"):
        import_into(out, config, session, state, origin)


def test_an_import_that_fails_on_the_way_leaves_nothing(
    prefix, state, tmp_path, monkeypatch
):
    def full(*_):
        raise OSError("no space left")

    config = GoldenConfig("resnet18", "synthetic:64", per_replica=2)
    session = config.session()
    monkeypatch.setattr(GoldenFolder, "save", full)
    (tmp_path / ".golden.partial").mkdir()  # Of an import that was killed.
    with pytest.raises(InputError, match="cannot write: no space left; choose a path"):
        import_into(
            tmp_path / "golden", config, session, state, Origin("a", "", "", "", "")
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workload", "vgg"], "'vgg' is not available"),
        (["--workload", "resnet18_nobn"], "expected 0 variables 'gamma' of rank 1"),
        (["--workload", "resnet18_sgd", "--updates", "9"],
         "slots do not fit resnet18_sgd: expected none of each weight; .* surplus: "),
        ([], "name the --workload"),
        ([*RUN, "--updates", "9", "--steps", "9"], "give --steps 10 or more"),
        ([*RUN, "--steps-per-epoch", "49"], "counted 8 .* of 49 steps they are 98"),
        ([*RUN, "--mapping", "no.csv"], "no.csv: cannot be read"),
        ([*RUN, "--ignore", "["], "'\\[' is no regular expression"),
    ],
)  # fmt: skip
def test_wrong_options_are_one_line_and_leave_nothing(
    arguments, message, prefix, tmp_path, capsys
):
    out = tmp_path / "out"
    extra = [] if "--data" in arguments else ["--data", "synthetic:64"]
    assert tool("--checkpoint", prefix, "--out", out, *arguments, *extra) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert re.search(message, captured.err), captured.err
    assert not out.exists() and not list(tmp_path.iterdir())


def test_variables_and_their_mapping_are_printed_as_csv(prefix, tmp_path, capsys):
    assert tool("--checkpoint", prefix, "--list") == 0
    listed = capsys.readouterr().out.splitlines()
    assert listed[0] == "path,shape,dtype,full_name,slots" and len(listed) == 1 + 122
    assert listed[1] == "conv1/kernel,7x7x3x64,float32,kernel,m v"
    assert (
        tool("--checkpoint", prefix, "--workload", "resnet18", "--print-mapping") == 0
    )
    file = tmp_path / "map.csv"
    file.write_text(capsys.readouterr().out)
    out = tmp_path / "out"
    assert tool("--checkpoint", prefix, *RUN, "--mapping", file, "--out", out) == 0
    _, manifest = GoldenFolder(out).read_manifest()
    assert manifest["imported"]["matched"] == str(file)


@pytest.mark.slow
def test_an_injection_is_replayed_from_an_imported_checkpoint(prefix, state, tmp_path):
    out, records = tmp_path / "golden", tmp_path / "records"
    command = ("--checkpoint", prefix, *RUN, "--out", out)
    assert tool(*command, "--steps", UPDATES + 3) == 0
    assert tool(*command, "--steps", UPDATES + 3) == 0  # Nothing is left to do.
    curve = GoldenFolder(out).curve()
    assert sorted(curve) == [8, 9, 10]
    config, _ = GoldenFolder(out).read_manifest()
    session = config.session()
    step = session.step(state, UPDATES)
    assert curve[8]["state"] == state_digest(step.state)
    injection = read_injection(ROOT / "injections" / "resnet18" / "inj_masked.csv")
    for with_fault in (True, False):
        replay(
            injection, out, name="inj_masked", out=records, epoch=2, step=1,
            with_fault=with_fault, session=session,
        )  # fmt: skip
    control = (records / "replay_resnet18_inj_masked_control.jsonl").read_text()
    steps = [json.loads(line) for line in control.splitlines()]
    states = [line["state"] for line in steps if line["kind"] == "step"]
    assert states == [curve[n]["state"] for n in (8, 9, 10)]
    faulty = (records / "replay_resnet18_inj_masked.jsonl").read_text().splitlines()
    (injected,) = (
        e["injection"] for e in map(json.loads, faulty) if e.get("injection")
    )
    assert injected["site"] == "basicblock_4_basic_0_conv2/forward/weight"
    golden = np.array([int(injected["golden_bits"][0], 16)], np.uint32).view(np.float32)
    after = GoldenFolder(out).load(workload("resnet18"), 8).parameters
    kernel = after["basicblock_4_basic_0_conv2/kernel"][2, 2, 383, 201]
    assert abs(float(golden[0]) - float(kernel)) < 0.01  # One update later.
