# SPDX-License-Identifier: Apache-2.0
"""The program `tpufi`: its commands, their help, levels of talk, and its start."""

import itertools
import os
import re
import subprocess
import sys

import pytest
from absl import logging

import tpufi
from tests.cli_test import one_line
from tests.docs_blocks import ROOT
from tpufi import cli, progress
from tpufi.campaign.engine.run import Scale
from tpufi.cli import compare_gradients, draw, run_options
from tpufi.cli.command import Command, CommandParser
from tpufi.cli.main import COMMANDS, main, program_parser
from tpufi.contrib.isca23.gradient_comparison import COLUMNS, ORDER
from tpufi.faults.plan import SITE_WEIGHTS
from tpufi.progress import Progress
from tpufi.training.devices import AUTO, DEVICES
from tpufi.training.strategies import STRATEGIES

# Reads its answer from the modules that were loaded when the program ended.
WATCHED = """
import atexit, sys
from tpufi.cli.main import main
atexit.register(lambda: print("tensorflow" in sys.modules, file=sys.stderr))
main()
"""
WITHIN = {f"campaign {name}": c for name, c in cli.campaign.COMMANDS.items()} | {
    f"inference {name}": c for name, c in cli.inference.COMMANDS.items()
}


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
        (["--help"], 0, "golden           Trains the golden run"),
        (["--version"], 0, f"tpufi {tpufi.__version__}, tensorflow"),
        ([], 2, "usage: tpufi [-h] [--version] COMMAND"),
        (["goldn"], 2, "no command 'goldn'; did you mean golden? known: campaign, "),
        (["frobnicate"], 2, "no command 'frobnicate'; known: campaign, "),
        (["--quiet"], 2, "no option '--quiet'; a command's options follow it"),
        (["golden", "--epochs", "1"], 2, "required: --out; see tpufi golden --help"),
        (["golden", "--out", "x", "--start-step", "3"], 2, "belong together"),
        (["replay", "--file", "x.csv", "--golden", "x"], 2, "x.csv"),
        (["show", "--file", "x.csv", "--golden", "x"], 2, "x.csv"),
        (["compare-gradients", "--file", "x.csv"], 2, "x.csv"),
        (["campaign"], 2, "required: COMMAND; see tpufi campaign --help"),
        (["campaign", "run", "x.yaml", "--out", "x"], 2, "x.yaml"),
        (["campaign", "plan", "x.yaml"], 2, "x.yaml"),
        (["campaign", "status", "nowhere"], 2, "nowhere"),
        (["campaign", "export", "nowhere", "x.csv"], 2, "nowhere"),
        (["inference", "run", "x.yaml", "--out", "x"], 2, "x.yaml"),
        (["inference", "compare", "nowhere", "nothing"], 2, "nowhere"),
        (["draw", "--workload", "resnet18", "--seed", "1", "--count", "1", "--models",
          "ZEROS"], 2, "ZEROS"),
        (["reproduce", "--thresholds", "x.toml"], 2, "x.toml"),
        (["completion", "bash"], 0, "_shtab_tpufi"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_the_program_answers_at_once_without_tensorflow(
    arguments, code, says, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    run = program(*arguments)
    assert run.returncode == code, run.stderr
    assert says in (run.stderr if code else run.stdout)
    assert run.stderr.splitlines()[-1] == "False"
    assert "\x1b" not in run.stdout + run.stderr


def test_help_of_every_command_needs_no_tensorflow():
    asked = [name.split() for name in (*COMMANDS, *WITHIN)]
    code = "import contextlib, sys; from tpufi.cli.main import main\n"
    code += f"for name in {asked}:\n"
    code += "  with contextlib.suppress(SystemExit): main([*name, '--help'])\n"
    code += "print('tensorflow' in sys.modules, 'numpy' in sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert run.stdout.count("usage: tpufi ") == len(asked)
    assert run.stdout.splitlines()[-1] == "False False"


def test_a_broken_campaign_file_is_one_line_without_tensorflow(tmp_path):
    text = (ROOT / "docs" / "tutorial" / "first_campaign.md").read_text()
    (plan,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    file = tmp_path / "campaign.yaml"
    file.write_text(plan.replace("steps:", "stepz:"))
    run = program("campaign", "plan", str(file))
    message, imported = run.stderr.splitlines()
    assert message.startswith(f"{file}:") and "stepz" in message
    assert (run.returncode, imported) == (2, "False")


def test_choices_and_defaults_of_options_are_those_of_the_library():
    assert run_options.DEVICES == (AUTO, *DEVICES)
    assert run_options.STRATEGIES == STRATEGIES
    assert draw.SITE_WEIGHTS == SITE_WEIGHTS
    assert compare_gradients.ORDERS == (ORDER, *COLUMNS)
    arguments = ["campaign", "run", "campaign.yaml", "--out", "x"]
    options = program_parser().parse_args(arguments)
    assert (options.window, options.block) == (Scale.window, Scale.block)


@pytest.mark.parametrize("name", [*COMMANDS, *WITHIN])
def test_help_shows_the_summary_and_examples_that_parse(name, capsys):
    command = (COMMANDS | WITHIN)[name]
    with pytest.raises(SystemExit) as exit_:
        main([*name.split(), "--help"])
    assert exit_.value.code == 0
    shown = capsys.readouterr().out
    assert command.summary in shown
    assert command.examples
    for example in command.examples:
        assert f"\n  {example}\n" in shown
        assert example.startswith(f"tpufi {name} ") or example == f"tpufi {name}"
        program_parser().parse_args(example.split()[1:])


def test_nothing_of_the_package_imports_the_program():
    package = ROOT / "python" / "tpufi"
    importing = [
        file.relative_to(package).as_posix()
        for file in package.rglob("*.py")
        if re.search(r"^\s*(from|import) tpufi\.cli", file.read_text(), re.MULTILINE)
    ]
    assert {name for name in importing if not name.startswith("cli/")} == {
        "__main__.py"
    }


@pytest.mark.parametrize("tool", ["campaign", "demo", "replay"])
def test_a_tool_is_a_thin_launcher(tool):
    run = subprocess.run(
        [sys.executable, ROOT / "tools" / f"{tool}.py", "--help"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert run.stdout.startswith(f"usage: tpufi {tool} [-h]")


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
        command.start(CommandParser().parse_args(option))
    logging.set_verbosity(before)
    assert exit_.value.code == 0
    captured = capfd.readouterr()
    assert captured.out == "result\n"
    assert captured.err.count("\n") == lines
    assert captured.err.startswith("counting: 3/3, " if lines else "")


def test_times_of_progress_leave_out_the_first_step(monkeypatch, caplog):
    clock = itertools.accumulate([0.0, 100.0, 2.0, 2.0, 2.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0)
    monkeypatch.setattr(logging, "info", lambda *line: lines.append(line[0] % line[1:]))
    lines = []
    progress.compiling("the step")
    list(Progress("counting", 10).steps(range(4)))
    assert lines == [
        "compiling the step (once)",
        "counting: 1/10, 100.00 s for the first step",
        "counting: 2/10, 2.00 s a step, 16 s remaining",
        "counting: 3/10, 2.00 s a step, 14 s remaining",
        "counting: 4/10, 2.00 s a step, 12 s remaining",
    ]


def test_quiet_and_verbose_exclude_each_other_in_one_line(capsys):
    command = Command("Counts.", ("tpufi count",), lambda _: None, lambda _: 0)
    with pytest.raises(SystemExit) as exit_:
        command.main(["--quiet", "--verbose"])
    assert exit_.value.code == cli.WRONG_INPUT
    assert ": argument --verbose: not allowed with" in one_line(capsys)


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
        "tpufi needs TensorFlow 2.19, and none is installed; run: pip install "
        "'tpufi[cpu]' (or tpufi[tensorflow], tpufi[tpu])"
    ]


def test_of_a_missing_tensorflow_a_name_says_what_to_install(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError("No module named 'tensorflow'", name="tensorflow")

    monkeypatch.setattr(tpufi.importlib, "import_module", missing)
    with pytest.raises(ImportError, match=r"needs TensorFlow 2.19, .*'tpufi\[cpu\]'"):
        tpufi._imported("flip_bits")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_a_row_in_its_page(name):
    assert f"\n| `{name}` | " in (ROOT / "docs" / "commands.md").read_text()
