#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`tpufi sites` without an installation; see docs/sites.md."""

from tpufi_command.main import launch

if __name__ == "__main__":
    launch("sites")
