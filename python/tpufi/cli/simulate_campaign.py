# SPDX-License-Identifier: Apache-2.0
"""Simulates a campaign on a cluster with the engine's own queue (docs/scale.md)."""

import argparse
import dataclasses
import json
import math

from tpufi.cli import above_0, natural, positive
from tpufi.cli.command import Command, CommandParser
from tpufi.errors import InputError


def _add_options(parser: CommandParser) -> None:
    add = parser.add_argument
    add("--workers", type=positive, required=True)
    add("--seconds", type=above_0, required=True, help="of an experiment, on average")
    add("--experiments", type=positive, default=2_900_000, help="default 2,900,000")
    add("--window", type=positive, default=500_000, help="default 500,000")
    add("--block", type=positive, default=8, help="experiments of a block, default 8")
    add("--steps", type=positive, default=80 * 49, help="struck golden steps")
    add("--walk", type=above_0, default=0.1, help="seconds of a golden step")
    add("--start", type=above_0, default=180, help="seconds until a worker can begin")
    add("--slow-share", type=float, default=0.01, help="share of stragglers")
    add("--slowdown", type=above_0, default=5, help="of stragglers, default 5")
    add("--lost-after", type=above_0, metavar="HOURS", help="mean life of a worker")
    add("--row", type=above_0, default=64e-6, help="seconds to commit a row")
    add("--hand", type=above_0, default=1e-3, help="seconds to hand out a block")
    add("--seed", type=natural, default=1)
    add("--json", action="store_true", help="JSON on the last line")


def _simulate(options: argparse.Namespace) -> int:
    from tpufi.campaign.cluster_model import Cluster, Load, simulate

    if not 0 <= options.slow_share <= 1:
        raise InputError(f"--slow-share {options.slow_share}; expected 0 to 1")
    cluster = Cluster(
        workers=options.workers,
        experiment=options.seconds,
        walk=options.walk,
        start=options.start,
        slow_share=options.slow_share,
        slowdown=options.slowdown,
        lost_after=(options.lost_after or math.inf) * 3600,
        row=options.row,
        hand=options.hand,
    )
    load = Load(options.experiments, options.window, options.block, options.steps)
    found = simulate(cluster, load, options.seed)
    print(
        f"{found.seconds / 3600:.3g} hours, {found.efficiency:.1%} of the workers' "
        f"time in experiments that count, coordinator busy {found.coordinator:.1%}, "
        f"{found.lost_workers} workers lost, {found.done_twice} experiments done "
        f"again, {found.given_up} given up"
    )
    if options.json:
        print(json.dumps(dataclasses.asdict(found)))
    return 0


COMMAND = Command(
    __doc__,
    ("tpufi simulate-campaign --workers 1000 --seconds 60",),
    _add_options,
    _simulate,
)
