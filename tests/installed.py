# SPDX-License-Identifier: Apache-2.0
"""The wheel in a fresh environment: what a user without the checkout has."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
TAG = "cp{}{}".format(*sys.version_info)
# Nothing of the checkout may stand in for what the wheel lacks.
OUTSIDE = {
    k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "TPUFI_LIBRARY")
}


def run(*command, cwd=None, **environment) -> str:
    process = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env={**OUTSIDE, **environment},
    )
    assert process.returncode == 0, process.stdout[-3000:] + process.stderr[-3000:]
    return process.stdout


@pytest.fixture(scope="session")
def wheel() -> pathlib.Path:
    """Build all wheels and return that of this Python."""
    run("bazel", "build", "//:wheel", cwd=ROOT, PYTHON_BIN_PATH=sys.executable)
    (found,) = (ROOT / "bazel-bin/wheel").glob(f"tpufi-*-{TAG}-{TAG}-*.whl")
    return found


@pytest.fixture(scope="session")
def python(wheel, tmp_path_factory) -> pathlib.Path:
    """Install the wheel with its TensorFlow into a fresh environment."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", folder)
    interpreter = folder / "bin" / "python"
    pip = (interpreter, "-m", "pip", "install", "-q", "--disable-pip-version-check")
    lock = ROOT / "requirements.lock"
    run(*pip, "-c", lock, f"{wheel}[cpu]", "pytest", "hypothesis")
    yield interpreter
    shutil.rmtree(folder)  # More than a gigabyte.
