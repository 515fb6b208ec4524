# SPDX-License-Identifier: Apache-2.0
"""Rules of the build: lists that must agree, and what it says when it cannot work."""

import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

import tpufi

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.skipif(
    not (ROOT / "WORKSPACE").exists(), reason="runs in a checkout only"
)


def names(pattern: str, text: str) -> set[str]:
    """Return the package names that start the lines of a requirements file."""
    found = re.findall(pattern, text, re.MULTILINE)
    return {name.lower().replace("_", "-") for name in found}


def test_rule_that_finds_tensorflow_has_at_most_50_lines():
    rule = ROOT / "third_party/tensorflow/tensorflow_pip.bzl"
    assert len(rule.read_text().splitlines()) <= 50


@pytest.mark.parametrize("folder", ["cc/lib", "cc/ops", "cc/bindings"])
def test_every_cpp_file_is_listed_in_its_build_file(folder):
    listed = set(re.findall(r'"(\w+(?:\.cc|\.h|_test))"', _read(folder + "/BUILD")))
    present = {
        path.name.replace("_test.cc", "_test")
        for path in (ROOT / folder).iterdir()
        if path.suffix in (".cc", ".h")
    }
    assert listed == present


def test_lock_file_pins_every_requirement_and_names_no_place():
    lock = _read("requirements.lock")
    lines = [line for line in lock.splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines)
    wanted = names(r"^([\w-]+)", _read("requirements.in"))
    assert wanted <= names(r"^([\w.-]+)==", lock)


def test_every_pinned_package_takes_the_python_of_debian_12():
    lock = names(r"^([\w.-]+)==", _read("requirements.lock"))
    asked = {
        name: SpecifierSet(metadata.metadata(name)["Requires-Python"] or "")
        for name in sorted(lock)
    }
    assert {name: str(s) for name, s in asked.items() if "3.11.2" not in s} == {}


def test_version_is_the_same_everywhere():
    assert f"\nversion: {tpufi.__version__}\n" in _read("CITATION.cff")


def test_only_one_module_loads_libraries():
    loaders = [
        path.name
        for folder in ("python", "contrib", "models", "tools")
        for path in (ROOT / folder).rglob("*.py")
        if "load_op_library(" in path.read_text()
    ]
    assert loaders == ["_library.py"]


def test_unknown_command_of_dev_exits_2_with_the_list():
    run = subprocess.run(
        [ROOT / "dev", "tset"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    for command in ("setup", "demo", "test", "lint", "bench", "tpu", "wheel"):
        assert f"\n  {command} " in run.stderr


def test_missing_library_names_the_command_that_builds_it(tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", "import tpufi.ops"],
        env={**os.environ, "TPUFI_LIBRARY": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    last = run.stderr.splitlines()[-1]
    assert last.startswith(f"ImportError: no _tpufi.so and _tpufi_ops.so in {tmp_path}")
    assert last.endswith(f"PYTHON_BIN_PATH={sys.executable} bazel build //:tpufi")


def _read(path: str) -> str:
    return (ROOT / path).read_text()
