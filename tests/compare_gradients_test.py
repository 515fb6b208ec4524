# SPDX-License-Identifier: Apache-2.0
"""The tool that compares gradients: options, errors, and a real run."""

import csv
import json
import pathlib

import pytest

from tpufi import cli
from tpufi.cli.compare_gradients import COMMAND as compare_gradients
from tpufi.golden import GoldenConfig, GoldenFolder, train_golden

ROOT = pathlib.Path(__file__).resolve().parents[1]
MASKED = ROOT / "injections" / "resnet18" / "inj_masked.csv"
SMALL = ("--data", "synthetic:64", "--replicas", "4", "--per-replica", "2")


def tool(*arguments: object) -> int:
    with pytest.raises(SystemExit) as exit_:
        cli.run(lambda _: compare_gradients.main([str(a) for a in arguments]))
    return exit_.value.code


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "name a --workload, an injection --file or a --golden run"),
        (("--workload", "vgg"), "'vgg' is not available; known: "),
        (("--file", "no.csv"), "no.csv:1: "),
        (("--file", MASKED, "--dtype", "float64"), "injections hold float32 values"),
        (("--file", MASKED, "--workload", "nfnet"), "is for resnet18, not nfnet"),
        (("--golden", "x", "--seed", "1"), "the golden run decides --seed"),
        (("--golden", "x", "--per-replica", "1"), "decides --per-replica"),
        (("--golden", "x"), "x: no golden run"),
        (("--workload", "resnet18", "--sort", "size"), "invalid choice: 'size'"),
        (("--workload", "resnet18", "--variable", "xyz"), "no variable has 'xyz'"),
        (("--workload", "resnet18", "--picture", "a.jpg"), "end its name in .png"),
        (("--workload", "resnet18", "--picture", "no/a.png"), "there is no folder no"),
        (("--workload", "resnet18", *SMALL, "--step", "8"), "expected 0 to 7"),
        (("--workload", "resnet18", "--json", "--csv"), "not allowed with"),
        (("--file", MASKED, "--replicas", "2", *SMALL[:2]), "target_worker 3"),
    ],
)
def test_wrong_options_are_one_line_and_exit_code_2(
    arguments, message, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert tool(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert message in captured.err
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_resnet18_agrees_with_autodiff_in_float64(tmp_path, capsys):
    picture = tmp_path / "p.png"
    arguments = ("--workload", "resnet18", *SMALL, "--dtype", "float64")
    assert tool(*arguments, "--csv", "--picture", picture) == 0
    table = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert len(table) == 82 + 1
    assert table[-1]["name"] == "(all)" and table[-1]["elements"] == "11186442"
    assert float(table[-1]["relative"]) < 1e-13
    assert picture.read_bytes()[:4] == b"\x89PNG"


@pytest.mark.slow
def test_a_fault_in_a_step_of_a_golden_run(tmp_path, capsys):
    config = GoldenConfig("resnet18", "synthetic:64", replicas=4, per_replica=2)
    path = tmp_path / "golden"
    train_golden(config, path, 2, 2)
    assert tool("--file", MASKED, "--golden", path, "--epoch", 0, "--step", 9) == 2
    capsys.readouterr()
    assert tool("--file", MASKED, "--golden", path, "--epoch", 0, "--step", 3) == 2
    assert "does not reach epoch 0 step 3" in capsys.readouterr().err
    chosen = ("--epoch", 0, "--step", 1, "--json", "--variable", "fc", "--sort", "name")
    assert tool("--file", MASKED, "--golden", path, *chosen) == 0
    entry = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in entry["rows"]] == [
        "fc/kernel",
        "fc_bias/bias",
        "(all)",
    ]
    assert 0 < entry["rows"][-1]["relative"] < 1
    # The golden loss is that of the golden run's own step.
    assert entry["losses"][0] == GoldenFolder(path).curve()[1]["loss"]
    (injected,) = entry["injected"]
    assert injected.endswith(" -> 0.06069118157029152")
