# SPDX-License-Identifier: Apache-2.0
"""Writes the report on a campaign: a page with tables and pictures."""

import argparse
import pathlib

from tpufi.campaign.stop_rule import STRATUM_KEYS
from tpufi.cli import above_0, share
from tpufi.cli.command import Command, CommandParser
from tpufi.errors import InputError

_DEFAULT = "report"


def _add_options(parser: CommandParser) -> None:
    add = parser.add_argument
    add("folder", type=pathlib.Path, help="folder of the campaign")
    add(
        "--out",
        type=pathlib.Path,
        metavar="DIR",
        help=f"folder to write; a report in it is replaced; default: {_DEFAULT} in the "
        "campaign's folder",
    )
    add(
        "--by",
        nargs="*",
        choices=STRATUM_KEYS,
        default=[],
        metavar="KEY",
        help=f"a section more, by several of {', '.join(STRATUM_KEYS)} together",
    )
    add("--confidence", type=share, default=0.95, help="of intervals, default 0.95")
    add(
        "--exact", action="store_true", help="Clopper-Pearson's intervals, not Wilson's"
    )
    add("--title", default="", help="of the page")
    add(
        "--raw-fit",
        type=above_0,
        metavar="FIT",
        help="of all flip-flops together, were no fault masked: adds a section on FIT",
    )
    add(
        "--golden",
        type=pathlib.Path,
        nargs="+",
        default=[],
        metavar="DIR",
        help="folders of the golden run, then of its band; default: as in the journal",
    )
    add("--rows", action="store_true", help="write all experiments as Parquet too")


def _report(options: argparse.Namespace) -> int:
    from tpufi.campaign.members import campaign_folders
    from tpufi.campaign.report.options import Options
    from tpufi.campaign.report.write import PAGE, write_combined, write_report

    folders = campaign_folders(options.folder)
    out = options.out or options.folder / _DEFAULT
    chosen = Options(
        title=options.title,
        by=tuple(options.by),
        confidence=options.confidence,
        exact=options.exact,
        raw_fit=options.raw_fit,
        golden=tuple(options.golden),
    )
    if len(folders) == 1:
        write_report(folders[0], out, chosen, options.rows)
        print(out / PAGE)
        return 0
    if options.golden:
        raise InputError(
            f"--golden is of one campaign, and {options.folder} has {len(folders)}; "
            f"report on {folders[0]} alone"
        )
    for folder in folders:
        write_report(folder, folder / _DEFAULT, chosen, options.rows)
        print(folder / _DEFAULT / PAGE)
    write_combined(folders, out, chosen)
    print(out / PAGE)
    return 0


COMMAND = Command(
    __doc__,
    ("tpufi campaign report runs/campaign",),
    _add_options,
    _report,
)
