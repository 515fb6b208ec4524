# SPDX-License-Identifier: Apache-2.0
"""Checks an installation in under a minute: libraries, ops, one replay.

Prints a line for each check. Needs no file and leaves none behind.
"""

import argparse
import sys
import time

from tpufi.command import Command, CommandParser
from tpufi.selftest.check import Check, run_checks
from tpufi.selftest.libraries import check_libraries
from tpufi.selftest.ops import check_ops
from tpufi.selftest.replay import check_replay

CHECKS = (
    Check("libraries", check_libraries),
    Check("ops", check_ops),
    Check("replay", check_replay),
)


def _add_options(parser: CommandParser) -> None:
    parser.add_argument("--fast", action="store_true", help="leave the replay out")


def _selftest(options: argparse.Namespace) -> int:
    sys.stdout.reconfigure(line_buffering=True)  # In step with the progress.
    begun = time.monotonic()
    good = run_checks(CHECKS[:-1] if options.fast else CHECKS)
    print(f"{'works' if good else 'broken'}, {time.monotonic() - begun:.0f} s")
    return 0 if good else 1


COMMAND = Command(
    __doc__,
    ("tpufi selftest",),
    _add_options,
    _selftest,
    deterministic=True,
)
main = COMMAND.main
