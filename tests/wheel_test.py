# SPDX-License-Identifier: Apache-2.0
"""The wheel as a user gets it: installed alone, in an empty folder."""

import email
import shutil
import time
import zipfile

import pytest

from tests.installed import ROOT, python, run, wheel

__all__ = ["python", "wheel"]
# Of the fast suite: what needs no other file of the repository.
FAST = (
    "descriptor_test.py",
    "fault_rules_test.py",
    "gradients_test.py",
    "inject_random_test.py",
    "ops_bits_test.py",
    "ops_parameters_test.py",
    "random_streams_test.py",
    "selftest_test.py",
)
NEEDED = (
    "__init__.py", "conftest.py", "memory.py", "modes.py", "inject_fault_test.py",
    "fault_reference.py", "rows.py",
)  # fmt: skip
pytestmark = pytest.mark.slow


def test_the_description_has_no_link_to_a_file():
    build_wheel = pytest.importorskip("tools.build_wheel")
    text = "see [ops](docs/ops.md) and [it](https://x.y/z)\n![curves](docs/a.svg)\n"
    assert build_wheel.description(text, {}) == "see ops and [it](https://x.y/z)\n\n"
    home = {"Repository": "https://example.org/tpufi/"}
    assert build_wheel.description(text, home) == (
        "see [ops](https://example.org/tpufi/blob/main/docs/ops.md) and "
        "[it](https://x.y/z)\n![curves](https://example.org/tpufi/raw/main/docs/a.svg)\n"
    )
    readme = (ROOT / "README.md").read_text()
    assert "](docs/" in readme and "](docs/" not in build_wheel.description(readme, {})


def test_its_name_and_metadata_say_what_it_needs(wheel):
    platform = wheel.stem.rpartition("-")[2]
    assert platform.startswith("manylinux_2_") and platform.endswith("_x86_64")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith("/METADATA"))
        metadata = email.message_from_bytes(archive.read(name))
    assert metadata["Requires-Python"] == "<3.13,>=3.10"
    extras = {"cpu", "gpu", "tensorflow", "tpu", "ray", "plot", "report", "completion"}
    assert extras <= set(metadata.get_all("Provides-Extra"))
    needs = metadata.get_all("Requires-Dist")
    assert not [n for n in needs if "tensorflow" in n and "extra ==" not in n]
    assert [n for n in needs if n.startswith("tensorflow-cpu==2.19.*; extra ==")]


def test_it_holds_all_that_the_commands_read_and_nothing_of_this_machine(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        text = b"".join(archive.read(name) for name in names)
    folders = ("contrib", "injections", "models")
    tracked = run("git", "ls-files", "python", *folders, cwd=ROOT).split()
    package = {
        name.removeprefix("python/")
        for name in tracked
        if name.startswith("python/tpufi/")
    }
    links = {f"tpufi/{folder}" for folder in folders}
    package |= {f"tpufi/{n}" for n in tracked if n.startswith(("contrib/", "models/"))}
    package |= {f"tpufi/{n}" for n in tracked if n.endswith(".csv")}
    assert package - links <= names
    assert {"tpufi/_tpufi.so", "tpufi/_tpufi_ops.so"} <= names
    assert str(ROOT).encode() not in text


def test_the_selftest_passes_in_an_empty_folder(python, tmp_path):
    begun = time.monotonic()
    shown = run(python, "-m", "tpufi", "selftest", cwd=tmp_path)
    print(shown, f"{time.monotonic() - begun:.0f} s with the start of Python")
    assert [line.split()[0] for line in shown.splitlines()] == [
        "ok", "ok", "ok", "works,",
    ]  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_the_program_and_its_published_injections_are_installed(python, tmp_path):
    program = python.with_name("tpufi")
    assert run(program, "--version", cwd=tmp_path).startswith("tpufi 0.")
    where = "import tpufi.faults.csv as p; print(len(list(p.PUBLISHED.glob("
    assert run(python, "-c", where + "'*/*.csv'))))", cwd=tmp_path).strip() == "11"


def test_fast_tests_pass_on_the_installed_package(python, tmp_path):
    (tmp_path / "tests").mkdir()
    for name in FAST + NEEDED:
        shutil.copy(ROOT / "tests" / name, tmp_path / "tests")
    shown = run(
        python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow",
        "tests", "-W", "ignore::pytest.PytestUnknownMarkWarning",
        *(f"tests/{name}" for name in FAST), cwd=tmp_path,
    )  # fmt: skip
    assert " passed" in shown and "failed" not in shown
    inside = run(python, "-c", "import tpufi; print(tpufi.__file__)", cwd=tmp_path)
    assert "site-packages" in inside
