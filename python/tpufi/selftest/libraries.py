# SPDX-License-Identifier: Apache-2.0
"""The compiled libraries fit this TensorFlow; the generator is the published one."""

import platform

import numpy as np
import tensorflow as tf

from tpufi._library import host
from tpufi.selftest.check import CheckFailed

# (key, counter, result) of Threefry-2x32 with 20 rounds: known answers of Random123.
_KNOWN = (
    ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
    ((0xFFFFFFFF,) * 2, (0xFFFFFFFF,) * 2, (0x1CB996FC, 0xBB002BE7)),
    ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
)


def check_libraries() -> str:
    """Return the versions at work.

    Raises:
      CheckFailed: the generator gives other numbers.

    Source: Salmon et al., Parallel random numbers: as easy as 1, 2, 3 (SC 2011).
    """
    for key, counter, expected in _KNOWN:
        found = tuple(host.threefry2x32(key, counter))
        if found != expected:
            raise CheckFailed(f"threefry2x32{key, counter} is {found}, not {expected}")
    return (
        f"built for TensorFlow {host.built_for_tensorflow}, found {tf.__version__}; "
        f"numpy {np.__version__}, Python {platform.python_version()}, "
        f"{'-'.join(platform.libc_ver())}, {platform.machine()}; generator as published"
    )
