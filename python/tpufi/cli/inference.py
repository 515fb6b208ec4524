# SPDX-License-Identifier: Apache-2.0
"""Campaigns of inferences with faults in any program: `tpufi campaign` by another name.

`tpufi campaign status`, `export` and `report` read their journals.
"""

import argparse
import dataclasses
import pathlib

from tpufi.cli import campaign_compare, campaign_run, natural
from tpufi.cli.command import Command, CommandParser, add_commands
from tpufi.cli.replay import replay_rows


def _add_options(parser: CommandParser) -> None:
    add_commands(parser, COMMANDS)


def _add_replay(parser: CommandParser) -> None:
    parser.add_argument("file", type=pathlib.Path, help="campaign file of the folder")
    parser.add_argument(
        "--campaign", type=pathlib.Path, required=True, help="folder of the campaign"
    )
    parser.add_argument(
        "--experiment", type=natural, nargs="+", required=True, help="their numbers"
    )


def _replay(options: argparse.Namespace) -> int:
    return replay_rows(options.campaign, options.experiment, options.file)


COMMANDS = {
    "run": dataclasses.replace(
        campaign_run.COMMAND,
        examples=(
            "tpufi inference run inference.yaml --out runs/inference --workers 2",
        ),
    ),
    "replay": Command(
        "Does experiments again and compares them with their rows.",
        (
            "tpufi inference replay inference.yaml --campaign runs/inference "
            "--experiment 17",
        ),
        _add_replay,
        _replay,
        campaign_run.check_file,
        deterministic=True,
    ),
    "compare": dataclasses.replace(
        campaign_compare.COMMAND,
        examples=("tpufi inference compare runs/plain runs/guarded",),
    ),
}
COMMAND = Command(
    __doc__,
    tuple(example for command in COMMANDS.values() for example in command.examples),
    _add_options,
)
