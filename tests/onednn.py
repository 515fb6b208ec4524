# SPDX-License-Identifier: Apache-2.0
"""Tests that TensorFlow aborts where oneDNN may not use what the processor has."""

import os
import pathlib

import pytest

from tests.layer_cases import SIXTEEN_BITS

_SETTING = "ONEDNN_MAX_CPU_ISA"
_CPU = pathlib.Path("/proc/cpuinfo")
# What TensorFlow looks for before it asks oneDNN for kernels of 16 bits.
_FEATURE = "avx512f"


def forbidden(setting: str | None, flags: str) -> str | None:
    """Return why tests of 16-bit layers cannot run; None: they can.

    Args:
      setting: the value of ONEDNN_MAX_CPU_ISA; None: not set.
      flags: what the processor can do, as /proc/cpuinfo says it.
    """
    if not setting or setting.upper() in ("ALL", "DEFAULT"):
        return None
    if setting.upper().startswith("AVX10") or _FEATURE not in flags.split():
        return None
    return (
        f"{_SETTING}={setting} on a processor with {_FEATURE}: TensorFlow asks oneDNN "
        "for 16-bit kernels that the setting forbids, and aborts"
    )


def skip_forbidden(items: list[pytest.Item]) -> None:
    """Skip tests of 16-bit layers where TensorFlow would abort the process."""
    flags = _CPU.read_text() if _CPU.exists() else ""
    reason = forbidden(os.environ.get(_SETTING), flags)
    if reason is None:
        return
    for item in items:
        call = getattr(item, "callspec", None)
        dtypes = {str(v) for v in call.params.values()} if call else set()
        if item.path.name == "sixteen_bits_test.py" or dtypes & set(SIXTEEN_BITS):
            item.add_marker(pytest.mark.skip(reason=reason))
