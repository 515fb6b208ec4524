# SPDX-License-Identifier: Apache-2.0
"""Exit codes and one-line errors of the command-line tools."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from tests.injection_errors_test import BROKEN
from tpufi import cli
from tpufi.cli.golden import COMMAND as golden
from tpufi.cli.replay import COMMAND as replay
from tpufi.cli.reproduce import COMMAND as reproduce
from tpufi.cli.sites import COMMAND as sites
from tpufi.golden import GoldenConfig, GoldenFolder

ROOT = pathlib.Path(__file__).resolve().parents[1]
MASKED = ROOT / "injections" / "resnet18" / "inj_masked.csv"


@pytest.fixture
def folder(tmp_path):
    """A golden run as far as the check of an injection file reads it."""
    path = tmp_path / "golden"
    GoldenFolder(path).write_manifest(GoldenConfig("resnet18", "synthetic"), {}, 1)
    return path


def run_tool(tool, *arguments) -> int:
    with pytest.raises(SystemExit) as exit_:
        cli.run(lambda _: tool.main([str(a) for a in arguments]))
    return exit_.value.code


def one_line(capsys) -> str:
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1 and captured.err.endswith("\n")
    return captured.err


# In ResNet-18 every layer has all three operands in the forward pass, and every
# workload that a file may name exists.
FILES = sorted(BROKEN.keys() - {"no_such_operand", "no_workload"})


@pytest.mark.parametrize("name", FILES)
def test_a_broken_injection_file_is_one_line_and_exit_code_2(
    name, folder, tmp_path, capsys
):
    content, line, _ = BROKEN[name]
    file = tmp_path / "broken.csv"
    # The table of those cases calls a layer of this shape conv2.
    file.write_bytes(content.replace(b",conv2", b",basicblock_2_basic_0_conv2"))
    out = tmp_path / "out"
    code = run_tool(
        replay, "--file", file, "--golden", folder, "--out", out, "--epoch", 0
    )
    message = one_line(capsys)
    assert code == 2
    assert f"broken.csv:{line}: " in message
    assert not out.exists()


@pytest.mark.parametrize(
    ("tool", "arguments", "message"),
    [
        (replay, ["--file", MASKED], "--golden"),
        (replay, ["--file", MASKED, "--golden", "nowhere"], "no golden run"),
        (golden, ["--out", "x", "--model", "resnet19"], "is not available; known: "),
        (golden, ["--out", "x", "--data", "imagenet"], "imagenet"),
        (golden, ["--out", "x", "--steps", "0"], "0 is below 1"),
        (golden, ["--out", "x", "--steps", "many"], "'many' is not an integer"),
        (golden, ["--out", "x", "--steps", "1", "--epochs", "1"], "not allowed"),
        (golden, ["--out", "x", "--learning-rate", "-1"], "learning_rate -1.0"),
        (golden, ["--out", "x", "--learning-rate", "nan"], "learning_rate nan"),
        (golden, ["--out", "x", "--steps-per-epoch", "0"], "0 is below 1"),
        (golden, ["--out", "x", "--start-from", "y"], "belong together"),
        (golden, ["--out", "x", "--start-step", "3"], "belong together"),
        (golden, ["--out", "x", "--count-from", "3"], "give --start-from"),
        (golden, ["--out", "x", "--start-from", "nowhere", "--start-step", "3"],
         "nowhere: no golden run"),
        (replay, ["--file", MASKED, "--golden", "x", "--thresholds", "nowhere.toml"],
         "nowhere.toml: cannot read thresholds"),
        (reproduce, ["--only", "resnet19"], "'resnet19' is no published injection"),
        (reproduce, ["--thresholds", "nowhere.toml"], "cannot read thresholds"),
        (reproduce, ["--data", "imagenet"], "imagenet"),
    ],
)  # fmt: skip
def test_wrong_options_are_one_line_and_exit_code_2(
    tool, arguments, message, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert run_tool(tool, *arguments) == 2
    assert message in one_line(capsys)
    assert list(tmp_path.iterdir()) == []


def test_sigterm_is_exit_code_130_too(capsys):
    before = signal.getsignal(signal.SIGTERM)

    def ended(_):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)

    with pytest.raises(SystemExit) as exit_:
        cli.run(ended)
    assert exit_.value.code == 130
    assert capsys.readouterr().err.startswith("Interrupted. ")
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_interrupt_is_exit_code_130(capsys):
    def interrupted(_):
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as exit_:
        cli.run(interrupted)
    assert exit_.value.code == 130
    assert "Run the same command to resume" in one_line(capsys)


def test_an_option_cannot_be_abbreviated(capsys):
    with pytest.raises(SystemExit) as exit_:
        golden.main(["--out", "x", "--epoch", "1"])
    assert exit_.value.code == cli.WRONG_INPUT
    assert "unrecognized arguments: --epoch 1" in one_line(capsys)


def test_help_names_defaults(capsys):
    with pytest.raises(SystemExit):
        golden.main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "(default: resnet18)" in text


def test_a_path_that_cannot_be_written_is_one_line(capsys):
    assert run_tool(golden, "--out", "/proc/x", "--epochs", 1) == cli.WRONG_INPUT
    assert one_line(capsys) == "/proc/x: No such file or directory\n"


def test_a_layer_that_no_site_has_is_one_line(capsys):
    code = run_tool(sites, "--workload", "resnet18", "--layer", "covn1")
    assert code == cli.WRONG_INPUT
    assert "'covn1' is in no name of a layer; nearest: conv1" in one_line(capsys)


def test_a_defect_of_ours_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        cli.run(lambda _: 1 // 0)


def test_a_process_prints_nothing_but_the_one_line(folder, tmp_path):
    file = tmp_path / "broken.csv"
    file.write_text("model,resnet18\nmodel,resnet18\n")
    process = subprocess.run(
        [sys.executable, ROOT / "tools" / "replay.py", "--file", file, "--golden",
         folder],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert process.returncode == 2
    assert process.stdout == ""
    assert process.stderr.startswith(f"{file}:2: ")
    assert process.stderr.count("\n") == 1, json.dumps(process.stderr)


def test_a_list_that_nobody_reads_is_no_error():
    process = subprocess.Popen(
        [sys.executable, "-m", "tpufi", "sites", "--workload", "resnet18"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == 0
