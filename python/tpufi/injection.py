# SPDX-License-Identifier: Apache-2.0
"""Former place of injection files; `tpufi` itself has the names."""

import warnings

from tpufi.faults import csv, injection

_NAMES = {
    "MODELS": injection,
    "STAGES": injection,
    "Injection": injection,
    "read_injection": csv,
    "write_injection": csv,
}

__all__ = list(_NAMES)


def __getattr__(name: str) -> object:
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn(
        f"tpufi.injection.{name} goes in 0.2: use {_NAMES[name].__name__}.{name}",
        DeprecationWarning,
        stacklevel=2,
    )
    return getattr(_NAMES[name], name)
