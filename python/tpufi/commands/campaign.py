# SPDX-License-Identifier: Apache-2.0
"""Plans and runs campaigns, and reads their journals.

run      does what is missing of a campaign; stop or kill it at any moment
plan     strata of a campaign file, and how many experiments a wanted margin needs
status   what the journal in a campaign's folder holds
export   its rows as Parquet or CSV
report   the whole campaign as a page, with tables and pictures
"""

import argparse
import pathlib

from tpufi.campaign.engine.calibration import calibrate
from tpufi.campaign.golden_check import check_golden
from tpufi.campaign.journal.export import export
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.neyman_table import neyman_lines
from tpufi.campaign.plan_file import read_plan
from tpufi.campaign.plan_table import plan_lines
from tpufi.campaign.report_command import add_report
from tpufi.campaign.run_command import add_run
from tpufi.campaign.status_table import status_lines
from tpufi.campaign.stop_rule import STRATUM_KEYS
from tpufi.cli import above_0, positive, share
from tpufi.command import Command, CommandParser
from tpufi.faults.jsonl import fault_line
from tpufi.golden import GoldenFolder


def _run(options: argparse.Namespace) -> int:
    return options.command(options)


def _add_options(parser: CommandParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    add_run(commands.add_parser("run", help="do what is missing of a campaign"))

    plan = commands.add_parser("plan", help="check a campaign file, size its strata")
    plan.set_defaults(command=_plan)
    add = plan.add_argument
    add("file", type=pathlib.Path, help="campaign file")
    _add_by(plan, ["model", "direction"])
    add("--margin", type=share, default=0.01, help="wanted half width, default 0.01")
    add("--rate", type=share, default=0.5, help="expected rate, default 0.5 (safe)")
    _add_confidence(plan)
    add("--seconds", type=above_0, help="of one experiment, to tell the time")
    add("--workers", type=positive, default=1, help="of the told time, default 1")
    add("--faults", type=positive, metavar="N", help="show the first N faults instead")
    add("--calibrate", type=positive, metavar="N", help="run N first, to tell the time")
    add("--pilot", type=pathlib.Path, help="a campaign, for Neyman's allocation")

    status = commands.add_parser("status", help="outcomes and their intervals")
    status.set_defaults(command=_status)
    status.add_argument("folder", type=pathlib.Path, help="folder of the campaign")
    _add_by(status, [])
    _add_confidence(status)
    status.add_argument(
        "--exact", action="store_true", help="Clopper-Pearson's intervals, not Wilson's"
    )

    rows = commands.add_parser("export", help="rows as Parquet or CSV")
    rows.set_defaults(command=_export)
    rows.add_argument("folder", type=pathlib.Path, help="folder of the campaign")
    rows.add_argument("out", type=pathlib.Path, help="file, .parquet or .csv")

    add_report(commands.add_parser("report", help="a page with tables and pictures"))


def _plan(options: argparse.Namespace) -> int:
    plan = read_plan(options.file)
    sampler = plan.sampler(check_golden(plan).per_replica)
    if options.faults:
        for number in range(min(options.faults, plan.stop.experiments)):
            print(fault_line(sampler.draw(plan.seed, number)))
        return 0
    if options.pilot is not None:
        with Reader.open(options.pilot) as pilot:
            for line in neyman_lines(plan, sampler, tuple(options.by), pilot):
                print(line)
        return 0
    for line in plan_lines(
        plan,
        sampler,
        tuple(options.by),
        options.margin,
        options.confidence or plan.stop.confidence,
        options.rate,
        options.seconds,
        options.workers,
    ):
        print(line)
    if options.calibrate:
        cost = calibrate(plan, options.calibrate)
        folder = GoldenFolder(plan.golden)
        struck = plan.moments(folder.read_manifest()[1]["steps_per_epoch"]).steps
        hours = cost.hours(plan.stop.experiments, struck, options.workers)
        print(
            f"measured: {cost.seconds:.3g} s an experiment, {cost.walk:.3g} s a golden "
            f"step, {cost.start:.3g} s to start; the campaign takes {hours:.3g} hours "
            f"with {options.workers} workers that have such a machine each"
        )
    return 0


def _status(options: argparse.Namespace) -> int:
    with Reader.open(options.folder) as journal:
        for line in status_lines(
            journal, tuple(options.by), options.confidence or 0.95, options.exact
        ):
            print(line)
    return 0


def _export(options: argparse.Namespace) -> int:
    with Reader.open(options.folder) as journal:
        count = export(journal, options.out)
    print(f"{options.out}: {count} experiments")
    return 0


def _add_by(parser: argparse.ArgumentParser, default: list[str]) -> None:
    parser.add_argument(
        "--by",
        nargs="*",
        choices=STRATUM_KEYS,
        default=default,
        metavar="KEY",
        help=f"what makes a stratum: {', '.join(STRATUM_KEYS)}; default: "
        f"{' '.join(default) or 'all experiments are one'}",
    )


def _add_confidence(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--confidence", type=share, help="of intervals; default: the plan's, or 0.95"
    )


COMMAND = Command(
    __doc__,
    (
        "tpufi campaign run campaign.yaml --out runs/campaign --workers 2",
        "tpufi campaign report runs/campaign",
    ),
    _add_options,
    _run,
    deterministic=True,
)
main = COMMAND.main
