#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shows how one fault spreads through the step it strikes."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # Errors are one line.

from tpufi.cli import run
from tpufi.show.command import main
from tpufi.training import make_deterministic

if __name__ == "__main__":
    make_deterministic()  # For the whole process, hence not in main.
    run(main)
