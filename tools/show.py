#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`tpufi show` without an installation; see docs/show.md."""

from tpufi_command.main import launch

if __name__ == "__main__":
    launch("show")
