# SPDX-License-Identifier: Apache-2.0
"""Checks an installation in under a minute: libraries, ops, one replay.

Prints a line for each check. Needs no file and leaves none behind.
"""

import argparse
import sys
import time

from tpufi.cli.command import Command, CommandParser


def _add_options(parser: CommandParser) -> None:
    parser.add_argument("--fast", action="store_true", help="leave the replay out")


def _selftest(options: argparse.Namespace) -> int:
    from tpufi.selftest import CHECKS, run_checks

    sys.stdout.reconfigure(line_buffering=True)  # In step with the progress.
    begun = time.monotonic()
    left_out = {"replay"} if options.fast else set()
    good = run_checks({n: look for n, look in CHECKS.items() if n not in left_out})
    print(f"{'works' if good else 'broken'}, {time.monotonic() - begun:.0f} s")
    return 0 if good else 1


COMMAND = Command(
    __doc__,
    ("tpufi selftest",),
    _add_options,
    _selftest,
    deterministic=True,
)
