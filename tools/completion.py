#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`tpufi completion` without an installation; see docs/commands.md."""

from tpufi_command.main import launch

if __name__ == "__main__":
    launch("completion")
