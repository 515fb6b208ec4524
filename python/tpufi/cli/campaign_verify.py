# SPDX-License-Identifier: Apache-2.0
"""Does random rows of a campaign again and tells how many agree, bit for bit."""

import argparse
import pathlib

from tpufi.cli import natural, positive
from tpufi.cli.command import Command, CommandParser
from tpufi.cli.run_options import add_device_options
from tpufi.errors import InputError


def _add_options(parser: CommandParser) -> None:
    add = parser.add_argument
    add(
        "folder",
        type=pathlib.Path,
        help="folder of a campaign, or of those of one file; or a journal",
    )
    add("--rows", type=positive, default=20, help="how many, default 20")
    add("--seed", type=natural, default=0, help="of the draw, default 0")
    add(
        "--plan",
        type=pathlib.Path,
        metavar="FILE",
        help="campaign file, if it names Python files; they are run",
    )
    add("--golden", type=pathlib.Path, help="folder of the golden run, if it moved")
    add_device_options(parser, "where the golden run was trained")


def _check(options: argparse.Namespace) -> None:
    if options.plan is not None and options.golden is not None:
        raise InputError("--plan names the golden run itself; leave out --golden")


def _verify(options: argparse.Namespace) -> int:
    from tpufi.campaign.engine.verified import drawn_rows, verified
    from tpufi.campaign.journal import database
    from tpufi.campaign.members import campaign_folders
    from tpufi.training.devices import asked

    given = options.folder
    folder = given.parent if given.name == database.NAME else given
    drawn = drawn_rows(campaign_folders(folder), options.rows, options.seed)
    count = agreed = 0
    for where, again in verified(drawn, options.plan, options.golden, asked(options)):
        count, agreed = count + 1, agreed + (not again.differences)
        told = ", ".join(again.differences)
        told = f"differs: {told}" if told else "identical"
        print(f"{where.name} {again.row.experiment}: {again.row.outcome}; {told}")
    print(f"{agreed} of {count} rows agree bit for bit, drawn by seed {options.seed}")
    return 0 if agreed == count else 1


COMMAND = Command(
    __doc__,
    (
        "tpufi campaign verify runs/campaign --rows 20",
        "tpufi campaign verify runs/mine --plan mine.yaml",
    ),
    _add_options,
    _verify,
    _check,
    deterministic=True,
)
