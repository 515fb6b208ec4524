# SPDX-License-Identifier: Apache-2.0
"""The completion script as a shell uses it."""

import contextlib
import subprocess

import pytest

from tpufi import extras
from tpufi.cli.main import main
from tpufi.errors import InputError

# What bash does when the tabulator key is pressed at the end of the words.
PRESS = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _shtab_tpufi
printf '%s\\n' "${COMPREPLY[@]}"
"""


def printed(shell: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["completion", shell])
    return ended.value.code


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    path = tmp_path_factory.mktemp("completion") / "tpufi.bash"
    with open(path, "w") as file, contextlib.redirect_stdout(file):
        assert printed("bash") == 0
    return path


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (["repl"], {"replay"}),
        (["replay", "--ho"], {"--horizon"}),
        (["campaign", "st"], {"status"}),
        (["golden", "--strategy", ""], {"virtual", "mirrored", "tpu"}),
    ],
)
def test_bash_completes_commands_options_and_choices(words, completed, script):
    run = subprocess.run(
        ["bash", "-c", PRESS, "bash", script, "tpufi", *words],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert set(run.stdout.split()) == completed


@pytest.mark.parametrize("shell", ["zsh", "tcsh"])
def test_other_shells_have_a_script(shell, capsys):
    assert printed(shell) == 0
    assert "import-checkpoint" in capsys.readouterr().out


def test_a_missing_package_is_one_line_that_names_the_extra(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(extras.importlib, "import_module", missing)
    with pytest.raises(InputError) as raised:
        extras.optional("shtab", "the completion of a shell")
    assert str(raised.value) == (
        "the completion of a shell needs shtab, which is not installed; run: pip "
        "install 'tpufi[completion]'"
    )
    with pytest.raises(InputError, match=r"tpufi\[ray\]', or choose --engine local$"):
        extras.optional("ray", "the engine ray", "choose --engine local")
