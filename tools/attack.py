#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Attacks tpufi for some time and tells what was tried and what was mishandled.

Processes are killed, stopped and starved, files and journals are mutated, and faults
are injected into random programs. A seed gives the same cases, as many as there is time
for. The exit code is 1 if something was mishandled.
"""

import argparse
import os
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Many small programs, each run a few times.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

from tools.attacks import campaigns, files, journals, programs
from tools.attacks.tally import Tally

from tpufi.cli import Parser, above_0, natural, run

# Kinds, and their shares of the time.
_KINDS = {
    "campaigns": (campaigns.attack, 0.25),
    "files": (files.attack, 0.1),
    "journals": (journals.attack, 0.05),
    "programs": (programs.attack, 0.6),
}


def main(argv: list[str] | None) -> int:
    """Attack, print the table, and return the exit code."""
    options = _options(argv)
    tally, begun = Tally(), time.monotonic()
    whole = sum(_KINDS[kind][1] for kind in options.kinds)
    for kind in options.kinds:
        attack, share = _KINDS[kind]
        print(f"attack: {kind}", file=sys.stderr, flush=True)
        attack(tally, options.seconds * share / whole, options.seed)
    print("\n".join(tally.table()))
    seconds = time.monotonic() - begun
    print(f"seed {options.seed}, {seconds:.0f} s, load {os.getloadavg()[1]:.1f}")
    return 1 if tally.mishandled else 0


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = Parser(prog="./dev attack", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("seconds", nargs="?", type=above_0, default=600.0, help="default 600")
    add("--seed", type=natural, default=1, help="of all that is drawn, default 1")
    add(
        "--kinds",
        nargs="+",
        choices=tuple(_KINDS),
        default=tuple(_KINDS),
        help="what is attacked, default all",
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    run(main)
