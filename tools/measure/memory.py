# SPDX-License-Identifier: Apache-2.0
"""Peak memory of a piece of work, as Linux counts it."""

import pathlib
from collections.abc import Callable

_STATUS = pathlib.Path("/proc/self/status")
_RESET = pathlib.Path("/proc/self/clear_refs")


def peak_bytes(work: Callable[[], object]) -> int:
    """Run `work` and return by how much it raised the process's resident memory."""
    before = _field("VmRSS")
    _RESET.write_text("5")  # Sets the high-water mark back to the present size.
    work()
    return max(_field("VmHWM") - before, 0)


def _field(name: str) -> int:
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"{_STATUS} has no {name}")
