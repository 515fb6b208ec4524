#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Packs built files as wheels, one for each CPython; `bazel build //:wheel` calls this.

The platform of the tag is the oldest manylinux that auditwheel finds the libraries fit
for. TensorFlow's own libraries are not looked at: they come from its distribution and
are loaded before.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping

import tomllib
from auditwheel.architecture import Architecture
from auditwheel.libc import Libc
from auditwheel.wheel_abi import analyze_wheel_abi

_BINDINGS = "_tpufi.so"
_RELATIVE_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|#|mailto:)([^()\s]+)\)")
_ENVIRONMENT = {**os.environ, "SOURCE_DATE_EPOCH": "315532800"}  # The first of zip's.
_FROM_TENSORFLOW = frozenset({"libtensorflow_cc.so.2", "libtensorflow_framework.so.2"})
# Without this setuptools would call the wheel pure Python and good for every machine.
_SETUP = """\
from setuptools import Distribution, setup

Distribution.has_ext_modules = lambda self: True
setup()
"""


def main() -> int:
    """Make all wheels, and report.txt, which says what was made and what not."""
    parser = argparse.ArgumentParser(description=__doc__, fromfile_prefix_chars="@")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder")
    parser.add_argument("--metadata", type=pathlib.Path, action="append", default=[])
    parser.add_argument("--file", type=pathlib.Path, action="append", default=[])
    parser.add_argument("--bindings", action="append", default=[], metavar="TAG=FILE")
    parser.add_argument("--skipped", action="append", default=[], metavar="TAG: WHY")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    lines = []
    for pair in options.bindings:
        tag, _, bindings = pair.partition("=")
        with tempfile.TemporaryDirectory() as scratch:
            stage = pathlib.Path(scratch, "stage")
            _lay_out(stage, options.metadata, options.file, pathlib.Path(bindings))
            wheel = _tagged(_packed(stage, pathlib.Path(scratch, "wheel")), tag)
            shutil.copy(wheel, options.out)
        size = (options.out / wheel.name).stat().st_size / 1e6
        lines.append(f"{wheel.name} ({size:.1f} MB)\n")
    lines += [f"no wheel for {reason}\n" for reason in options.skipped]
    (options.out / "report.txt").write_text("".join(lines))
    return 0


def _lay_out(
    stage: pathlib.Path,
    metadata: list[pathlib.Path],
    files: list[pathlib.Path],
    bindings: pathlib.Path,
) -> None:
    """Copy all files to where setuptools looks for them."""
    stage.mkdir()
    (stage / "setup.py").write_text(_SETUP)
    for file in metadata:
        shutil.copy(file, stage)
    project = tomllib.loads((stage / "pyproject.toml").read_text())["project"]
    readme = stage / "README.md"
    readme.write_text(description(readme.read_text(), project.get("urls", {})))
    for file in files:
        # .../tpufi_tree/tpufi/ops.py is tpufi/ops.py of the package.
        _, _, inside = file.as_posix().partition("/tpufi_tree/")
        target = stage / "python" / inside
        target.parent.mkdir(parents=True, exist_ok=True)
        source = bindings if file.name == _BINDINGS else file
        shutil.copyfile(source, target)


def description(readme: str, urls: Mapping[str, str]) -> str:
    """Return the README as a package index shows it, where no file lies beside it.

    Args:
      readme: its text; links to files of the repository are relative.
      urls: of the project; with `Repository` links are absolute, without one a link
        becomes its text and a picture is left out.
    """
    home = urls.get("Repository", "").rstrip("/")

    def link(match: re.Match) -> str:
        picture, text, target = match.groups()
        if home:
            kind = "raw" if picture else "blob"
            return f"{picture}[{text}]({home}/{kind}/main/{target})"
        return "" if picture else text

    return _RELATIVE_LINK.sub(link, readme)


def _packed(stage: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """Let setuptools make the wheel, with the same bytes every time."""
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-index", "--no-deps"]
    command += ["--disable-pip-version-check", "--no-build-isolation"]
    subprocess.run(
        [*command, "--wheel-dir", folder, stage],
        check=True,
        env=_ENVIRONMENT,
    )
    (wheel,) = folder.glob("*.whl")
    return wheel


def _tagged(wheel: pathlib.Path, python: str) -> pathlib.Path:
    """Name the CPython and the oldest platform that the wheel is good for."""
    found = analyze_wheel_abi(
        Libc.GLIBC,
        Architecture.x86_64,
        wheel,
        _FROM_TENSORFLOW,
        disable_isa_ext_check=False,
        allow_graft=False,
    )
    tags = ["--python-tag", python, "--abi-tag", python]
    tags += ["--platform-tag", found.overall_policy.name, "--remove"]
    run = subprocess.run(
        [sys.executable, "-m", "wheel", "tags", *tags, wheel],
        check=True,
        env=_ENVIRONMENT,
        stdout=subprocess.PIPE,
        text=True,
    )
    return wheel.with_name(run.stdout.strip())


if __name__ == "__main__":
    sys.exit(main())
