# SPDX-License-Identifier: Apache-2.0
"""`python -m tpufi.selftest` is `tpufi selftest`."""

import sys

from tpufi.commands.selftest import COMMAND

if __name__ == "__main__":
    COMMAND.start(sys.argv[1:], "python -m tpufi.selftest")
