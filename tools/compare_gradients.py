#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`tpufi compare-gradients` without an installation; see docs/compare_gradients.md."""

from tpufi_command.main import launch

if __name__ == "__main__":
    launch("compare-gradients")
