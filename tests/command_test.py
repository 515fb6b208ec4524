# SPDX-License-Identifier: Apache-2.0
"""The program `tpufi`: its commands, their help, levels of talk, and its start."""

import importlib
import os
import pathlib
import subprocess
import sys

import pytest
from absl import logging

import tpufi
from tpufi import cli
from tpufi.command import Command
from tpufi.progress import Progress
from tpufi_command.catalogue import module_of, summaries

ROOT = pathlib.Path(__file__).resolve().parents[1]
# Reads its answer from the modules that were loaded when the program ended.
WATCHED = """
import atexit, sys
from tpufi_command.main import main
atexit.register(lambda: print("tensorflow" in sys.modules, file=sys.stderr))
main()
"""


def program(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", WATCHED, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--help"], 0, "golden             Trains the golden run"),
        (["--version"], 0, f"tpufi {tpufi.__version__}, tensorflow"),
        ([], 2, "usage: tpufi COMMAND"),
        (["goldn"], 2, "no command 'goldn'; did you mean golden? known: campaign, "),
        (["frobnicate"], 2, "no command 'frobnicate'; known: campaign, "),
        (["--quiet"], 2, "no option '--quiet'; a command's options follow it"),
    ],
)
def test_the_program_answers_at_once_without_tensorflow(arguments, code, says):
    run = program(*arguments)
    assert run.returncode == code
    assert says in (run.stderr if code else run.stdout)
    assert run.stderr.splitlines()[-1] == "False"
    assert "\x1b" not in run.stdout + run.stderr


@pytest.mark.parametrize("name", summaries())
def test_a_tool_is_a_thin_launcher(name):
    text = (ROOT / "tools" / f"{name.replace('-', '_')}.py").read_text()
    assert text.count("\n") < 15
    assert f'launch("{name}")' in text


@pytest.mark.parametrize("name", summaries())
def test_help_shows_the_summary_and_examples_that_parse(name, capsys):
    command = importlib.import_module(module_of(name)).COMMAND
    with pytest.raises(SystemExit) as exit_:
        command.main(["--help"], prog=f"tpufi {name}")
    assert exit_.value.code == 0
    shown = capsys.readouterr().out
    assert summaries()[name] in shown
    for example in command.examples:
        assert f"\n  {example}\n" in shown
        first, second, *arguments = example.split()
        assert (first, second) == ("tpufi", name)
        command.parse(arguments)


@pytest.mark.parametrize(
    ("option", "lines", "level"),
    [([], 1, "INFO"), (["--quiet"], 0, "WARNING"), (["--verbose"], 1, "DEBUG")],
)
def test_progress_is_a_message_that_quiet_leaves_out(option, lines, level, capfd):
    def work(_) -> int:
        assert logging.get_verbosity() == getattr(logging, level)
        assert list(Progress("counting", 3).steps(range(3))) == [0, 1, 2]
        print("result")
        return 0

    before = logging.get_verbosity()
    command = Command("Counts.", ("tpufi count",), lambda _: None, work)
    with pytest.raises(SystemExit) as exit_:
        command.start(option, "tpufi count")
    logging.set_verbosity(before)
    assert exit_.value.code == 0
    captured = capfd.readouterr()
    assert captured.out == "result\n"
    assert captured.err.count("\n") == lines
    assert captured.err.startswith("counting: 3/3, " if lines else "")


def test_quiet_and_verbose_exclude_each_other_in_one_line(capsys):
    command = Command("Counts.", ("tpufi count",), lambda _: None, lambda _: 0)
    with pytest.raises(SystemExit) as exit_:
        command.main(["--quiet", "--verbose"], prog="tpufi count")
    assert exit_.value.code == cli.WRONG_INPUT
    assert capsys.readouterr().err.startswith("tpufi count: argument --verbose: not ")


def test_a_missing_tensorflow_is_one_line_that_names_the_extras(tmp_path):
    # A module that cannot be found, as in an environment without TensorFlow.
    hide = "import sys; sys.meta_path.insert(0, type('Hide', (), {'find_spec': "
    hide += "lambda name, *_: (_ for _ in ()).throw(ModuleNotFoundError(name=name)) "
    hide += "if name == 'tensorflow' else None}))\n"
    run = subprocess.run(
        [sys.executable, "-c", hide + WATCHED, "sites", "--workload", "resnet18"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert run.stderr.splitlines()[:-1] == [
        "tpufi needs TensorFlow 2.19 or 2.20, and none is installed; run: pip install "
        "'tpufi[cpu]' (or tpufi[tensorflow], tpufi[tpu])"
    ]


@pytest.mark.parametrize("name", summaries())
def test_a_command_has_a_row_in_its_page(name):
    assert f"\n| `{name}` | " in (ROOT / "docs" / "commands.md").read_text()
