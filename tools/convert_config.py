#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`tpufi convert-config` without an installation; see docs/from_tensorfi.md."""

from tpufi_command.main import launch

if __name__ == "__main__":
    launch("convert-config")
