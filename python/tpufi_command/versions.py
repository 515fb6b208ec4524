# SPDX-License-Identifier: Apache-2.0
"""Versions of tpufi, of the TensorFlow that is installed, and of Python."""

import importlib.metadata
import pathlib
import platform
import re

_PACKAGE = pathlib.Path(__file__).absolute().parents[1] / "tpufi" / "__init__.py"
_VERSION = re.compile(r'^__version__ = "(.+)"$', re.MULTILINE)
_TENSORFLOWS = ("tensorflow", "tensorflow-cpu", "tensorflow-tpu")


def versions() -> str:
    """Return the versions in one line, e.g. `tpufi 0.1.0, Python 3.11.2`."""
    found = [f"tpufi {_VERSION.search(_PACKAGE.read_text())[1]}"]
    for name in _TENSORFLOWS:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join((*found, f"Python {platform.python_version()}"))
