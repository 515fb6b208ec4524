# SPDX-License-Identifier: Apache-2.0
"""Replays one fault from a golden run.

--file F --golden FOLDER               an injection file; records what happens
--campaign FOLDER --experiment N ...   rows of a campaign, compared with its journal
"""

import argparse
import pathlib

import tpufi
from tpufi.cli import natural, positive
from tpufi.cli.command import Command, CommandParser
from tpufi.cli.run_options import add_device_options
from tpufi.errors import InputError
from tpufi.outcomes.outcome_thresholds import DEFAULT_FILE, read_thresholds


def _add_options(parser: CommandParser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--file", help="injection file (CSV)")
    what.add_argument("--campaign", metavar="FOLDER", help="folder of a campaign")
    parser.add_argument(
        "--experiment", type=natural, nargs="+", metavar="N", help="numbers of its rows"
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


def _check(options: argparse.Namespace) -> None:
    if (options.campaign is None) != (options.experiment is None):
        raise InputError("--campaign and --experiment belong together; give both")
    if options.file is not None:
        if options.golden is None:
            raise InputError("--file needs a golden run to start from; give --golden")
        read_thresholds(options.thresholds)
        tpufi.read_injection(options.file)


def _replay(options: argparse.Namespace) -> int:
    if options.campaign is not None:
        return _experiments(options)
    from tpufi.experiment.judge import Judge
    from tpufi.experiment.table import table
    from tpufi.golden import GoldenFolder
    from tpufi.training.devices import asked

    # Check the files before anything is loaded or compiled.
    limits = read_thresholds(options.thresholds)
    config, _ = GoldenFolder(pathlib.Path(options.golden)).read_manifest()
    asked(options).check_same(config.placement, options.golden)
    injection = tpufi.read_injection(
        options.file, lambda name: tpufi.sites(name, config.per_replica)
    )
    result = tpufi.replay(
        injection,
        options.golden,
        name=pathlib.Path(options.file).stem,
        out=options.out,
        epoch=options.epoch,
        step=options.step,
        horizon=options.horizon,
        with_fault=not options.no_fault,
        judge=Judge(
            limits, lambda: tuple(map(pathlib.Path, options.band)), options.validate
        ),
    )
    print(table({result.paths[0].stem: result}))
    print("thresholds:", limits)
    print("records:", *result.paths)
    return 0


def _experiments(options: argparse.Namespace) -> int:
    from tpufi.campaign.engine.replayed import replay_experiments
    from tpufi.training.devices import asked

    golden = pathlib.Path(options.golden) if options.golden else None
    folder = pathlib.Path(options.campaign)
    differing = 0
    for again in replay_experiments(folder, options.experiment, golden, asked(options)):
        for line in again.lines():
            print(line)
        differing += bool(again.differences)
    count = len(options.experiment)
    print(f"{count - differing} of {count} are identical to their rows")
    return 1 if differing else 0


COMMAND = Command(
    __doc__,
    (
        "tpufi replay --file injection.csv --golden runs/golden --epoch 0 --step 30",
        "tpufi replay --campaign runs/campaign --experiment 7",
    ),
    _add_options,
    _replay,
    _check,
    deterministic=True,
)
