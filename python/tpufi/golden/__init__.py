# SPDX-License-Identifier: Apache-2.0
"""Golden runs: the same training without a fault, on disk."""

from tpufi.golden.config import GoldenConfig, Start
from tpufi.golden.folder import GoldenFolder
from tpufi.golden.train import find_start, open_golden, train_golden

__all__ = [
    "GoldenConfig",
    "GoldenFolder",
    "Start",
    "find_start",
    "open_golden",
    "train_golden",
]
