# SPDX-License-Identifier: Apache-2.0
"""Former names of packages: they warn, and are the package that replaces them."""

import importlib
import pkgutil
import sys
import warnings


def stand_for(former: str, package: str) -> None:
    """Let importing `former` and its modules import those of `package`."""
    warnings.warn(
        f"{former} goes in 0.2: use {package}", DeprecationWarning, stacklevel=3
    )
    now = importlib.import_module(package)
    for module in pkgutil.iter_modules(now.__path__):
        same = importlib.import_module(f"{package}.{module.name}")
        sys.modules[f"{former}.{module.name}"] = same
    sys.modules[former] = now
