#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`tpufi simulate-campaign` without an installation; see docs/scale.md."""

from tpufi_command.main import launch

if __name__ == "__main__":
    launch("simulate-campaign")
