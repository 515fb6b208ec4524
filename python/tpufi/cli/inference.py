# SPDX-License-Identifier: Apache-2.0
"""Runs campaigns of inferences with faults in any program, and compares two.

`tpufi campaign status`, `export` and `report` read their journals.
"""

import argparse
import pathlib
import sys

import tpufi
from tpufi.cli import above_0, natural, positive, print_lines, share
from tpufi.cli.command import Command, CommandParser, add_commands
from tpufi.messages import printable

_SECONDS_TO_START = 3600.0


def _add_options(parser: CommandParser) -> None:
    add_commands(parser, COMMANDS)


def _add_run(parser: CommandParser) -> None:
    add = parser.add_argument
    add("file", type=pathlib.Path, help="campaign file; docs/inference_campaigns.md")
    add("--out", type=pathlib.Path, required=True, help="folder of the campaign")
    add("--workers", type=positive, default=1, help="processes, default 1")
    add(
        "--timeout",
        type=above_0,
        default=600,
        help="seconds without a sign of life that end a worker, default 600",
    )


def _add_replay(parser: CommandParser) -> None:
    parser.add_argument("file", type=pathlib.Path, help="campaign file of the folder")
    parser.add_argument(
        "--campaign", type=pathlib.Path, required=True, help="folder of the campaign"
    )
    parser.add_argument(
        "--experiment", type=natural, nargs="+", required=True, help="their numbers"
    )


def _add_compare(parser: CommandParser) -> None:
    for name in ("first", "second"):
        parser.add_argument(name, type=pathlib.Path, help="folder of a campaign")
    parser.add_argument(
        "--confidence", type=share, default=0.95, help="of intervals, default 0.95"
    )


def _check_file(options: argparse.Namespace) -> None:
    from tpufi.yaml_reader import read_yaml

    # What its keys mean, only the part of us that imports TensorFlow knows.
    read_yaml(options.file, "docs/inference_campaigns.md")


def _run(options: argparse.Namespace) -> int:
    from tpufi.campaign.engine.interrupt import interruptible
    from tpufi.campaign.engine.local_pool import LocalPool
    from tpufi.campaign.engine.watcher import Watcher
    from tpufi.campaign.inference.inference_file import read_inference_plan
    from tpufi.campaign.inference.run import run_inference
    from tpufi.campaign.inference.runner import InferenceRunnerOf
    from tpufi.campaign.inference.session import session_text
    from tpufi.campaign.inference.survey import survey

    found = survey(read_inference_plan(options.file))
    make = InferenceRunnerOf(found.plan, found.golden)
    limits = options.timeout, _SECONDS_TO_START
    with interruptible() as stopping:
        reason = run_inference(
            found,
            options.out,
            session_text(sys.argv, tpufi.__version__, found),
            lambda: LocalPool(make, options.workers, *limits),
            Watcher(),
            stopping,
        )
    if reason is None:
        raise KeyboardInterrupt
    print(f"{options.out}: {reason}")
    return 0


def _replay(options: argparse.Namespace) -> int:
    from tpufi.campaign.inference.inference_file import read_inference_plan
    from tpufi.campaign.inference.replayed import replay_inferences
    from tpufi.campaign.inference.runner import InferenceRunnerOf
    from tpufi.campaign.inference.survey import survey

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
    from tpufi.campaign.inference.compared import compared_lines
    from tpufi.campaign.journal.reader import Reader

    with (
        Reader.open(options.first) as first,
        Reader.open(options.second) as second,
        first.untrusted(),
    ):
        lines = list(compared_lines(first, second, options.confidence))
    print_lines(map(printable, lines))
    return 0


COMMANDS = {
    "run": Command(
        "Does what is missing of a campaign; stop or kill it at any moment.",
        ("tpufi inference run inference.yaml --out runs/inference --workers 2",),
        _add_run,
        _run,
        _check_file,
    ),
    "replay": Command(
        "Does experiments again and compares them with their rows.",
        (
            "tpufi inference replay inference.yaml --campaign runs/inference "
            "--experiment 17",
        ),
        _add_replay,
        _replay,
        _check_file,
    ),
    "compare": Command(
        "Compares two with the same faults, as with and without a mitigation.",
        ("tpufi inference compare runs/plain runs/guarded",),
        _add_compare,
        _compare,
    ),
}
COMMAND = Command(
    __doc__,
    tuple(example for command in COMMANDS.values() for example in command.examples),
    _add_options,
)
