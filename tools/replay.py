#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`tpufi replay` without an installation."""

import sys

from tpufi.cli.main import main

if __name__ == "__main__":
    main(["replay", *sys.argv[1:]])
