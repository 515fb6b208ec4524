# SPDX-License-Identifier: Apache-2.0
"""Type checkers find no error in the code of the README and the tutorials."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from tests.code_types import PAGES, write_pages
from tests.docs_blocks import ROOT

CHECKERS = pathlib.Path(os.environ.get("TPUFI_TYPES", ROOT / ".venv-types")) / "bin"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (CHECKERS / "pyright").exists(), reason="./dev test --all installs them"
    ),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
    """The code of each page as a file."""
    folder = tmp_path_factory.mktemp("types")
    assert PAGES[0].name == "README.md" and len(write_pages(folder)) >= 3
    return folder


def checked(folder, *command) -> subprocess.CompletedProcess:
    return subprocess.run(
        [CHECKERS / command[0], *command[1:]], cwd=folder, capture_output=True,
        text=True, env={**os.environ, "MYPYPATH": str(ROOT / "python")},
    )  # fmt: skip


def test_pyright_finds_no_error(folder):
    config = {"extraPaths": [str(ROOT / "python")], "pythonVersion": "3.11"}
    (folder / "pyrightconfig.json").write_text(json.dumps(config))
    run = checked(folder, "pyright", "--pythonpath", sys.executable, "-p", ".")
    assert run.returncode == 0, run.stdout
    assert "0 errors" in run.stdout


def test_mypy_finds_no_error(folder):
    files = sorted(file.name for file in folder.glob("*.py"))
    # TensorFlow brings no types for mypy, and what follows into tpufi is its own.
    how = ("--disable-error-code", "import-untyped", "--follow-imports", "silent")
    run = checked(folder, "mypy", "--python-executable", sys.executable, *how, *files)
    assert run.returncode == 0, run.stdout
    assert "no issues found" in run.stdout


def test_a_wrong_type_would_be_found(folder):
    (folder / "wrong.py").write_text("import tpufi\n\ntpufi.flip('a', 0, bit='x')\n")
    try:
        assert checked(folder, "mypy", "--follow-imports", "silent",
                       "--python-executable", sys.executable,
                       "wrong.py").returncode == 1  # fmt: skip
    finally:
        (folder / "wrong.py").unlink()
