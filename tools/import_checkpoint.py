#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`tpufi import-checkpoint` without an installation; see docs/from_isca_artifact.md."""

from tpufi_command.main import launch

if __name__ == "__main__":
    launch("import-checkpoint")
