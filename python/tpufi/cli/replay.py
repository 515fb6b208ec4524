# SPDX-License-Identifier: Apache-2.0
"""Replays faults from a golden run.

--file F ... --golden FOLDER           injection files; records what happens
--unit LINE --golden FOLDER            a broken unit, as tpufi draw prints it
--campaign FOLDER --experiment N ...   rows of a campaign, compared with its journal
"""

import argparse
import dataclasses
import pathlib
from collections.abc import Iterable, Sequence

from absl import logging

import tpufi
from tpufi.cli import natural, positive
from tpufi.cli.command import Command, CommandParser
from tpufi.cli.run_options import add_device_options
from tpufi.errors import InputError
from tpufi.outcomes.outcome_thresholds import DEFAULT_FILE, read_thresholds


def _add_options(parser: CommandParser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--file",
        nargs="+",
        type=pathlib.Path,
        metavar="CSV",
        help="injection files, or folders of them",
    )
    what.add_argument("--unit", metavar="LINE", help="a line of tpufi draw")
    what.add_argument("--campaign", metavar="FOLDER", help="folder of a campaign")
    parser.add_argument(
        "--experiment", type=natural, nargs="+", metavar="N", help="numbers of its rows"
    )
    parser.add_argument(
        "--plan",
        type=pathlib.Path,
        metavar="FILE",
        help="campaign file of --campaign, if it names Python files; they are run",
    )
    parser.add_argument("--golden", help="folder of the golden run")
    parser.add_argument("--out", default=".", help="folder for the record files")
    parser.add_argument("--epoch", type=natural, help="instead of the file's epoch")
    parser.add_argument("--step", type=natural, help="instead of the file's step")
    parser.add_argument(
        "--horizon",
        type=positive,
        help="steps to run; default: to the golden run's end",
    )
    parser.add_argument(
        "--no-fault", action="store_true", help="the zero-fault control"
    )
    parser.add_argument(
        "--band",
        action="append",
        default=[],
        metavar="FOLDER",
        help="golden run with another seed; may be given several times",
    )
    parser.add_argument(
        "--validate",
        action="store_true",
        help="compare the accuracy on the test images after the last step",
    )
    add_device_options(parser, "where the golden run was trained")
    parser.add_argument(
        "--thresholds", default=DEFAULT_FILE, metavar="FILE", help="docs/outcomes.md"
    )


def injection_files(given: Sequence[pathlib.Path]) -> list[pathlib.Path]:
    """Return injection files, and those of folders in the order of their names.

    Raises:
      InputError: a folder has none, or two files have one name, as their records would.
    """
    found: list[pathlib.Path] = []
    for path in given:
        files = sorted(path.glob("*.csv")) if path.is_dir() else [path]
        if not files:
            raise InputError(f"{path}: no file *.csv in it; name injection files")
        found += files
    for path in found:
        same = [p for p in found if p.stem == path.stem]
        if len(same) > 1:
            raise InputError(
                f"{same[0]} and {same[1]}: both are called {path.stem}, and so are "
                "their records; rename one, or replay them into two folders"
            )
    return found


def _check(options: argparse.Namespace) -> None:
    if (options.campaign is None) != (options.experiment is None):
        raise InputError("--campaign and --experiment belong together; give both")
    if options.plan is not None and (options.golden or options.campaign is None):
        raise InputError(
            "--plan is the file of a --campaign and names the golden run itself; leave "
            "out --golden"
        )
    if options.unit is not None:
        from tpufi.faults.unit_line import parse_broken_unit

        if options.golden is None:
            raise InputError("--unit needs a golden run to start from; give --golden")
        if options.no_fault or options.band or options.validate:
            raise InputError(
                "--no-fault, --band and --validate are of injection files; leave them "
                "out, or write a campaign file"
            )
        read_thresholds(options.thresholds)
        parse_broken_unit(options.unit)
    if options.file is not None:
        if options.golden is None:
            raise InputError("--file needs a golden run to start from; give --golden")
        read_thresholds(options.thresholds)
        for path in injection_files(options.file):
            tpufi.read_injection(path)


def _replay(options: argparse.Namespace) -> int:
    if options.campaign is not None:
        return _experiments(options)
    if options.unit is not None:
        return _unit(options)
    from tpufi.experiment.inject import check_fits
    from tpufi.experiment.judge import Judge
    from tpufi.experiment.table import summary, table
    from tpufi.golden import GoldenFolder, open_golden
    from tpufi.training.devices import asked

    # Check the files before anything is loaded or compiled.
    limits = read_thresholds(options.thresholds)
    config, _ = GoldenFolder(pathlib.Path(options.golden)).read_manifest()
    asked(options).check_same(config.placement, options.golden)
    injections = {
        path.stem: tpufi.read_injection(
            path, lambda name: tpufi.sites(name, config.per_replica)
        )
        for path in injection_files(options.file)
    }
    for injection in injections.values():
        check_fits(injection, config)
    # One program has the sites of all files: it is compiled once.
    sites = {injection.site_name for injection in injections.values()}
    _, session = open_golden(options.golden, sites=sites)
    table_of_sites = session.program.table
    rows = max(i.fault(table_of_sites).rows for i in injections.values())
    results = {}
    for name, injection in injections.items():
        result = tpufi.replay(
            injection,
            options.golden,
            name=name,
            out=options.out,
            epoch=options.epoch,
            step=options.step,
            horizon=options.horizon,
            with_fault=not options.no_fault,
            session=session,
            rows=rows,
            judge=Judge(
                limits, lambda: tuple(map(pathlib.Path, options.band)), options.validate
            ),
        )
        results[result.paths[0].stem] = result
        if len(injections) > 1:
            logging.info("%s: %s", name, result.outcome)
    print(table(results) if len(results) == 1 else summary(results))
    print("thresholds:", limits)
    print("records:", *(path for r in results.values() for path in r.paths))
    return 0


def _unit(options: argparse.Namespace) -> int:
    from tpufi.experiment.replay_unit import replay_unit
    from tpufi.faults.unit_line import parse_broken_unit
    from tpufi.golden import GoldenFolder
    from tpufi.training.devices import asked

    config, _ = GoldenFolder(pathlib.Path(options.golden)).read_manifest()
    asked(options).check_same(config.placement, options.golden)
    fault = parse_broken_unit(options.unit)
    moved = {"epoch": options.epoch, "step": options.step}
    given = {key: value for key, value in moved.items() if value is not None}
    limits = read_thresholds(options.thresholds)
    result = replay_unit(
        dataclasses.replace(fault, **given),
        options.golden,
        limits,
        horizon=options.horizon,
    )
    for line in result.lines():
        print(line)
    print("thresholds:", limits)
    return 0


def _experiments(options: argparse.Namespace) -> int:
    from tpufi.campaign.engine.replayed import replay_experiments
    from tpufi.training.devices import asked

    if options.plan is not None:
        return replay_rows(options.campaign, options.experiment, options.plan)
    golden = pathlib.Path(options.golden) if options.golden else None
    folder = pathlib.Path(options.campaign)
    return _told(replay_experiments(folder, options.experiment, golden, asked(options)))


def replay_rows(
    campaign: pathlib.Path, numbers: Sequence[int], plan: pathlib.Path
) -> int:
    """Do experiments of a campaign file again; return the exit code.

    Args:
      campaign: folder of the campaign.
      numbers: of the experiments.
      plan: its campaign file.
    """
    from tpufi.campaign.engine.replayed import replay_experiments
    from tpufi.campaign.subjects import subject_of

    folder = pathlib.Path(campaign)
    subject = subject_of(plan, folder.resolve().name)
    return _told(replay_experiments(folder, numbers, subject=subject))


def _told(results: Iterable) -> int:
    count = differing = 0
    for again in results:
        count += 1
        for line in again.lines():
            print(line)
        differing += bool(again.differences)
    print(f"{count - differing} of {count} are identical to their rows")
    return 1 if differing else 0


COMMAND = Command(
    __doc__,
    (
        "tpufi replay --file injection.csv --golden runs/golden --epoch 0 --step 30",
        "tpufi replay --file injections/resnet18 --golden runs/golden",
        "tpufi replay --campaign runs/campaign --experiment 7",
        "tpufi replay --campaign runs/mine --plan mine.yaml --experiment 7",
    ),
    _add_options,
    _replay,
    _check,
    deterministic=True,
)
