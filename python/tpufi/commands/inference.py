# SPDX-License-Identifier: Apache-2.0
"""Runs campaigns of inferences with faults in any program, and compares two.

run      does what is missing of a campaign; stop or kill it at any moment
replay   does experiments again and compares them with their rows
compare  two campaigns with the same faults, as with and without a mitigation

`tpufi campaign status`, `export` and `report` read their journals.
"""

import argparse
import pathlib
import sys

from tpufi import __version__
from tpufi.campaign.engine.interrupt import interruptible
from tpufi.campaign.engine.local_pool import LocalPool
from tpufi.campaign.engine.watcher import Watcher
from tpufi.campaign.inference.compared import compared_lines
from tpufi.campaign.inference.inference_file import read_inference_plan
from tpufi.campaign.inference.replayed import replay_inferences
from tpufi.campaign.inference.run import run_inference
from tpufi.campaign.inference.runner import InferenceRunnerOf
from tpufi.campaign.inference.session import session_text
from tpufi.campaign.inference.survey import survey
from tpufi.campaign.journal.reader import Reader
from tpufi.cli import above_0, natural, positive, share
from tpufi.command import Command, CommandParser

_SECONDS_TO_START = 3600.0


def _add_options(parser: CommandParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    doing = commands.add_parser("run", help="do what is missing of a campaign")
    doing.set_defaults(command=_run)
    add = doing.add_argument
    add("file", type=pathlib.Path, help="campaign file; docs/inference_campaigns.md")
    add("--out", type=pathlib.Path, required=True, help="folder of the campaign")
    add("--workers", type=positive, default=1, help="processes, default 1")
    add(
        "--timeout",
        type=above_0,
        default=600,
        help="seconds without a sign of life that end a worker, default 600",
    )
    again = commands.add_parser("replay", help="do experiments again and compare them")
    again.set_defaults(command=_replay)
    again.add_argument("file", type=pathlib.Path, help="campaign file of the folder")
    again.add_argument(
        "--campaign", type=pathlib.Path, required=True, help="folder of the campaign"
    )
    again.add_argument(
        "--experiment", type=natural, nargs="+", required=True, help="their numbers"
    )
    comparing = commands.add_parser("compare", help="compare two campaigns")
    comparing.set_defaults(command=_compare)
    for name in ("first", "second"):
        comparing.add_argument(name, type=pathlib.Path, help="folder of a campaign")
    comparing.add_argument(
        "--confidence", type=share, default=0.95, help="of intervals, default 0.95"
    )


def _do(options: argparse.Namespace) -> int:
    return options.command(options)


def _run(options: argparse.Namespace) -> int:
    found = survey(read_inference_plan(options.file))
    make = InferenceRunnerOf(found.plan, found.golden)
    limits = options.timeout, _SECONDS_TO_START
    with interruptible() as stopping:
        reason = run_inference(
            found,
            options.out,
            session_text(sys.argv, __version__, found),
            lambda: LocalPool(make, options.workers, *limits),
            Watcher(),
            stopping,
        )
    if reason is None:
        raise KeyboardInterrupt
    print(f"{options.out}: {reason}")
    return 0


def _replay(options: argparse.Namespace) -> int:
    found = survey(read_inference_plan(options.file))
    make = InferenceRunnerOf(found.plan, found.golden)
    results = replay_inferences(found, options.campaign, options.experiment, make)
    differing = 0
    for identical, lines in results:
        print("\n".join(lines))
        differing += not identical
    count = len(options.experiment)
    print(f"{count - differing} of {count} are identical to their rows")
    return 1 if differing else 0


def _compare(options: argparse.Namespace) -> int:
    with Reader.open(options.first) as first, Reader.open(options.second) as second:
        for line in compared_lines(first, second, options.confidence):
            print(line)
    return 0


COMMAND = Command(
    __doc__,
    (
        "tpufi inference run inference.yaml --out runs/inference --workers 2",
        "tpufi inference replay inference.yaml --campaign runs/inference "
        "--experiment 17",
        "tpufi inference compare runs/plain runs/guarded",
    ),
    _add_options,
    _do,
)
main = COMMAND.main
