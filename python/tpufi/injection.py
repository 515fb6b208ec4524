# SPDX-License-Identifier: Apache-2.0
"""Former place of injection files; `tpufi` itself has the names."""

import warnings

from tpufi.faults import csv, injection, injection_file

_NAMES = {
    "MODELS": (injection_file, "WORKLOADS"),
    "STAGES": (injection, "STAGES"),
    "Injection": (injection, "Injection"),
    "read_injection": (csv, "read_injection"),
    "write_injection": (csv, "write_injection"),
}

__all__ = list(_NAMES)


def __getattr__(name: str) -> object:
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, new = _NAMES[name]
    warnings.warn(
        f"tpufi.injection.{name} goes in 0.2: use {module.__name__}.{new}",
        DeprecationWarning,
        stacklevel=2,
    )
    return getattr(module, new)
