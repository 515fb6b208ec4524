# SPDX-License-Identifier: Apache-2.0
"""`python -m tpufi COMMAND` is `tpufi COMMAND`."""

from tpufi.cli.main import main

if __name__ == "__main__":
    main()
