#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`tpufi selftest` without an installation; see docs/build.md."""

from tpufi_command.main import launch

if __name__ == "__main__":
    launch("selftest")
