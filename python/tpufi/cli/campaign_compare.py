# SPDX-License-Identifier: Apache-2.0
"""Compares two campaigns with the same faults, as with and without a mitigation."""

import argparse
import pathlib

from tpufi.cli import print_lines, share
from tpufi.cli.command import Command, CommandParser
from tpufi.messages import printable


def _add_options(parser: CommandParser) -> None:
    for name in ("first", "second"):
        parser.add_argument(name, type=pathlib.Path, help="folder of a campaign")
    parser.add_argument(
        "--confidence", type=share, default=0.95, help="of intervals, default 0.95"
    )


def _compare(options: argparse.Namespace) -> int:
    from tpufi.campaign.compared import compared_lines
    from tpufi.campaign.journal.reader import Reader

    with (
        Reader.open(options.first) as first,
        Reader.open(options.second) as second,
        first.untrusted(),
    ):
        lines = list(compared_lines(first, second, options.confidence))
    print_lines(map(printable, lines))
    return 0


COMMAND = Command(
    __doc__,
    ("tpufi campaign compare runs/plain runs/guarded",),
    _add_options,
    _compare,
)
