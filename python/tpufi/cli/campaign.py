# SPDX-License-Identifier: Apache-2.0
"""Plans and runs campaigns, and reads their journals."""

import argparse
import pathlib
from collections.abc import Iterator

import tpufi
from tpufi.campaign.stop_rule import STRATUM_KEYS
from tpufi.cli import (
    above_0,
    campaign_compare,
    campaign_report,
    campaign_run,
    campaign_verify,
    positive,
    print_lines,
    share,
)
from tpufi.cli.command import Command, CommandParser, add_commands
from tpufi.errors import InputError
from tpufi.messages import printable


def _add_options(parser: CommandParser) -> None:
    add_commands(parser, COMMANDS)


def _add_plan(parser: CommandParser) -> None:
    add = parser.add_argument
    add("file", type=pathlib.Path, help="campaign file")
    _add_by(parser, ["model", "direction"])
    add("--margin", type=share, default=0.01, help="wanted half width, default 0.01")
    add("--rate", type=share, default=0.5, help="expected rate, default 0.5 (safe)")
    _add_confidence(parser)
    add("--seconds", type=above_0, help="seconds per experiment, for the time estimate")
    add(
        "--workers",
        type=positive,
        default=1,
        help="workers of the time estimate, default 1",
    )
    add("--faults", type=positive, metavar="N", help="show the first N faults instead")
    add(
        "--calibrate",
        type=positive,
        metavar="N",
        help="run N first, for the time estimate",
    )
    add("--pilot", type=pathlib.Path, help="a campaign, for Neyman's allocation")


def _add_status(parser: CommandParser) -> None:
    parser.add_argument("folder", type=pathlib.Path, help="folder of the campaign")
    _add_by(parser, [])
    _add_confidence(parser)
    parser.add_argument(
        "--exact", action="store_true", help="Clopper-Pearson's intervals, not Wilson's"
    )


def _add_export(parser: CommandParser) -> None:
    parser.add_argument("folder", type=pathlib.Path, help="folder of the campaign")
    parser.add_argument("out", type=pathlib.Path, help="file, .parquet or .csv")


def _plan(options: argparse.Namespace) -> int:
    from tpufi.campaign.subjects import subjects_of

    subjects = subjects_of(options.file)
    if options.pilot is not None and len(subjects) > 1:
        raise InputError(
            f"--pilot is of one campaign, and {options.file} has {len(subjects)}; "
            "write a file for each"
        )
    for name, subject in subjects.items():
        if name:
            print(f"{name}:")
        print_lines(_plan_lines(options, subject))
    return 0


def _plan_lines(
    options: argparse.Namespace, subject: "tpufi.campaign.subject.Subject"
) -> Iterator[str]:
    from tpufi.campaign.engine.calibration import calibrate
    from tpufi.campaign.journal.reader import Reader
    from tpufi.campaign.neyman_table import neyman_lines
    from tpufi.campaign.plan_table import plan_lines
    from tpufi.faults.jsonl import fault_line

    plan, sampler = subject.plan, subject.source
    if options.faults:
        for number in range(min(options.faults, plan.stop.experiments)):
            yield fault_line(subject.fault(number))
        return
    if options.pilot is not None:
        with Reader.open(options.pilot) as pilot, pilot.untrusted():
            lines = list(neyman_lines(plan, sampler, tuple(options.by), pilot))
        yield from lines
        return
    yield from plan_lines(
        subject,
        tuple(options.by),
        options.margin,
        options.confidence or plan.stop.confidence,
        options.rate,
        options.seconds,
        options.workers,
    )
    if options.calibrate:
        cost = calibrate(subject, options.calibrate)
        steps = subject.golden_steps
        hours = cost.hours(plan.stop.experiments, steps, options.workers)
        yield (
            f"measured: {cost.seconds:.3g} s an experiment, {cost.walk:.3g} s a golden "
            f"step, {cost.start:.3g} s to start; the campaign takes {hours:.3g} hours "
            f"with {options.workers} workers that have such a machine each"
        )


def _status(options: argparse.Namespace) -> int:
    from tpufi.campaign.journal.reader import Reader
    from tpufi.campaign.members import campaign_folders
    from tpufi.campaign.status_table import status_lines

    by, confidence = tuple(options.by), options.confidence or 0.95
    folders = campaign_folders(options.folder)
    for folder in folders:
        with Reader.open(folder) as journal, journal.untrusted():
            lines = list(status_lines(journal, by, confidence, options.exact))
        heading = [f"{folder.name}:"] if len(folders) > 1 else []
        # The journal's texts are anybody's: no line of them moves a cursor.
        print_lines(map(printable, [*heading, *lines]))
    return 0


def _export(options: argparse.Namespace) -> int:
    from tpufi.campaign.journal.export import export
    from tpufi.campaign.journal.reader import Reader

    with Reader.open(options.folder) as journal, journal.untrusted():
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


COMMANDS = {
    "run": campaign_run.COMMAND,
    "plan": Command(
        "Tells strata of a campaign file and how many experiments a margin needs.",
        ("tpufi campaign plan campaign.yaml --by model --margin 0.02",),
        _add_plan,
        _plan,
        campaign_run.check_file,
        deterministic=True,
    ),
    "status": Command(
        "Tells the outcomes of a campaign and their intervals.",
        ("tpufi campaign status runs/campaign --by model",),
        _add_status,
        _status,
    ),
    "export": Command(
        "Writes the rows of a campaign as Parquet or CSV.",
        ("tpufi campaign export runs/campaign rows.csv",),
        _add_export,
        _export,
    ),
    "report": campaign_report.COMMAND,
    "compare": campaign_compare.COMMAND,
    "verify": campaign_verify.COMMAND,
}
COMMAND = Command(
    __doc__,
    (
        "tpufi campaign run campaign.yaml --out runs/campaign --workers 2",
        "tpufi campaign report runs/campaign",
    ),
    _add_options,
)
