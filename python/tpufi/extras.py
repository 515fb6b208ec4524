# SPDX-License-Identifier: Apache-2.0
"""Optional packages: imported where they are used, and missed in one line."""

import importlib
import types

from tpufi.errors import InputError

TENSORFLOW = ("2.19", "2.20")
INSTALL_TENSORFLOW = "pip install 'tpufi[cpu]' (or tpufi[tensorflow], tpufi[tpu])"
# The extras install the first of these; the second is for those who build tpufi.
TENSORFLOW_MISSING = (
    f"tpufi needs TensorFlow {TENSORFLOW[0]}, and none is installed; run: "
    f"{INSTALL_TENSORFLOW}"
)

# Extra of pyproject.toml that installs the package.
_EXTRAS = {
    "jinja2": "report",
    "matplotlib": "plot",
    "pandas": "report",
    "pyarrow": "parquet",
    "ray": "ray",
    "shtab": "completion",
}


def optional(package: str, what: str, instead: str = "") -> types.ModuleType:
    """Import an optional package.

    Args:
      package: its name; one of those that extras of tpufi install.
      what: what needs it, as the message begins.
      instead: how to do without, as the message ends.

    Returns:
      The module.

    Raises:
      InputError: it is not installed; the message names the extra.

    Example:
      >>> optional("matplotlib", "a picture").__name__
      'matplotlib'
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:  # It is there, and lacks something itself.
            raise
    remedy = f"run: pip install 'tpufi[{_EXTRAS[package]}]'"
    raise InputError(
        f"{what} needs {package}, which is not installed; {remedy}"
        + (f", or {instead}" if instead else "")
    )
