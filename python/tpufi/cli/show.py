# SPDX-License-Identifier: Apache-2.0
"""Shows how one fault spreads through the step it is injected into.

The bits of the faulty elements, and of each layer's results what changed.
"""

import argparse
import pathlib

import tpufi
from tpufi.cli import natural, positive
from tpufi.cli.command import Command, CommandParser
from tpufi.cli.run_options import add_device_options
from tpufi.errors import InputError


def _check(options: argparse.Namespace) -> None:
    if (options.campaign is None) != (options.experiment is None):
        raise InputError("--campaign and --experiment belong together; give both")
    if options.file is not None:
        if options.golden is None:
            raise InputError("--file needs a golden run to start from; give --golden")
        tpufi.read_injection(options.file)


def _show(options: argparse.Namespace) -> int:
    from rich.console import Console

    from tpufi.show.bit_fields import bit_lines
    from tpufi.show.picture import check_ending, draw_spread
    from tpufi.show.spread import spread
    from tpufi.show.subject import from_campaign, from_file
    from tpufi.show.table import spread_tables
    from tpufi.training.devices import asked

    if options.out is not None:
        check_ending(options.out)
    golden, where = options.golden, asked(options)
    if options.file is not None:
        subject = from_file(options.file, golden, options.epoch, options.step, where)
    else:
        subject = from_campaign(options.campaign, options.experiment, golden, where)
    found = spread(subject)
    console = Console(highlight=False)
    console.print(subject.title, soft_wrap=True, markup=False)
    before, after = found.losses
    console.print(f"loss of the step: {before:.6g} golden, {after:.6g} faulty\n")
    limit = options.elements
    for line in bit_lines(
        subject.site, subject.positions, found.golden, found.faulty, limit
    ):
        console.print(line, soft_wrap=True)
    console.print(
        "\nelements changed, and the largest change over the largest golden value:"
    )
    for table in spread_tables(found, options.all):
        console.print(table, "")
    if not options.all:
        console.print("(layers without any change are left out; --all shows them)")
    if options.out is not None:
        draw_spread(subject, found, options.out)
        console.print(f"picture: {options.out}", soft_wrap=True, markup=False)
    return 0


def _add_options(parser: CommandParser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--file", help="injection file (CSV)")
    what.add_argument(
        "--campaign", type=pathlib.Path, metavar="FOLDER", help="folder of a campaign"
    )
    add = parser.add_argument
    add("--experiment", type=natural, metavar="N", help="number of its row")
    add("--golden", type=pathlib.Path, help="folder of the golden run")
    add("--epoch", type=natural, help="instead of the file's epoch")
    add("--step", type=natural, help="instead of the file's step")
    add("--out", type=pathlib.Path, help="picture to write: .svg, .png or .pdf")
    add_device_options(parser, "where the golden run was trained")
    add("--elements", type=positive, default=4, help="faulty elements, default 4")
    add("--all", action="store_true", help="also layers without any change")


COMMAND = Command(
    __doc__,
    (
        "tpufi show --file injection.csv --golden runs/golden --out spread.png",
        "tpufi show --campaign runs/campaign --experiment 7",
    ),
    _add_options,
    _show,
    _check,
    deterministic=True,
)
