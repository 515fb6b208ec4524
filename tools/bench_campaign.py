#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures experiments an hour, against the ISCA'23 artefact's way to run them.

Both do the same experiments of a campaign file, in turns: same layers, data, batch,
faults, and as many steps. Ours takes them in the order of a window, in one process
that is warm, and walks the golden run between them. The artefact's way is a process
for each: load the epoch's start, train up to the step, two passes and a new trace,
train on.
"""

import dataclasses
import json
import os
import pathlib
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # Errors are one line.

import tensorflow as tf
from peers.artefact_workflow import Spent, run_in_new_process

from tpufi.campaign.plan_file import read_plan
from tpufi.campaign.workload.experiment import Experimenter
from tpufi.campaign.workload.golden_check import check_golden
from tpufi.campaign.workload.subject import WorkloadSubject
from tpufi.cli import Parser, natural, positive, run
from tpufi.errors import InputError
from tpufi.golden import GoldenFolder
from tpufi.training import make_deterministic


@dataclasses.dataclass(frozen=True)
class Timed:
    """One experiment, done both ways.

    Args:
      ours: seconds, the walk of the golden run to it included.
      faulty: the same up to the end of the faulty step.
      theirs: seconds of the artefact's way.
    """

    ours: float
    faulty: float
    theirs: Spent


def main(argv: Sequence[str] | None) -> int:
    """Measure and print a table, or one JSON object on the last line."""
    parser = Parser(description=__doc__)
    parser.add_argument("file", type=pathlib.Path, help="campaign file, one replica")
    parser.add_argument("--experiments", type=positive, default=8, help="default 8")
    parser.add_argument(
        "--window", type=positive, default=600, help="experiments that share a walk"
    )
    parser.add_argument(
        "--skip", type=natural, default=100, help="of the window's order, default 100"
    )
    parser.add_argument("--json", action="store_true", help="JSON on the last line")
    options = parser.parse_args(argv)
    sys.stdout.reconfigure(line_buffering=True)
    plan = read_plan(options.file)
    if check_golden(plan).replicas != 1:
        raise InputError(
            f"{plan.golden}: has several replicas; the artefact's way is written for 1"
        )
    runner = WorkloadSubject(plan).open()
    order = sorted(
        range(options.window),
        key=lambda n: (runner.fault(n).epoch, runner.fault(n).step, n),
    )
    chosen = order[options.skip : options.skip + options.experiments]
    if len(chosen) < options.experiments:
        raise InputError(
            f"the window of {options.window} ends before {options.skip} + "
            f"{options.experiments} experiments; choose fewer, or a larger window"
        )
    with tempfile.TemporaryDirectory() as scratch:
        found = _measured(
            options.file, runner, chosen, GoldenFolder(pathlib.Path(scratch))
        )
    result = _summary(found)
    result |= {"workload": plan.workload, "cores": len(os.sched_getaffinity(0))}
    result |= {"horizon": plan.horizon, "tensorflow": tf.__version__}
    print(
        f"ours {result['ours_per_hour']:.0f} experiments an hour, the artefact's way "
        f"{result['theirs_per_hour']:.1f}: {result['ratio']:.1f} times as many"
    )
    print(
        f"without the start of its processes {result['ratio_without_start']:.1f}; "
        f"medians of pairs {result['median_ratio']:.1f} and "
        f"{result['median_ratio_without_start']:.1f}"
    )
    print(
        "up to the end of the faulty step (load, fast-forward, two passes, trace) "
        f"{result['ratio_to_faulty_step']:.1f} times; median of pairs "
        f"{result['median_ratio_to_faulty_step']:.1f}"
    )
    if options.json:
        print(json.dumps(result))
    return 0


def _measured(
    file: pathlib.Path,
    runner: Experimenter,
    chosen: Sequence[int],
    starts: GoldenFolder,
) -> list[Timed]:
    """Time each experiment both ways; the first one only warms ours up."""
    per_epoch = runner.session.steps_per_epoch
    for epoch in sorted({runner.fault(number).epoch for number in chosen}):
        starts.save(runner.walk.state(epoch * per_epoch))
    # The same experiments followed no further; each stepped through separately.
    short = Experimenter(dataclasses.replace(runner.plan, horizon=1), runner.session)
    for one in (runner, short):
        one.run(chosen[0])
    found = []
    for number in chosen[1:]:
        begun = time.monotonic()
        row = runner.run(number)
        ours = time.monotonic() - begun
        begun = time.monotonic()
        short.run(number)
        faulty = time.monotonic() - begun
        theirs = run_in_new_process(
            file.absolute(), number, row.steps_run, starts.path.absolute()
        )
        found.append(Timed(ours, faulty, theirs))
        print(
            f"experiment {number}: {row.fault.model}, step {row.fault.step}, "
            f"{row.steps_run} steps; ours {ours:.2f} s ({faulty:.2f} to the end of the "
            f"faulty step), the artefact's way "
            f"{theirs.total:.2f} s: start {theirs.start:.2f}, load {theirs.load:.2f}, "
            f"up to the step {theirs.forward:.2f}, inject {theirs.inject:.2f}, "
            f"follow {theirs.follow:.2f}"
        )
    return found


def _summary(found: list[Timed]) -> dict:
    ours = [timed.ours for timed in found]
    whole = [timed.theirs.total for timed in found]
    running = [timed.theirs.total - timed.theirs.start for timed in found]
    faulty = [timed.faulty for timed in found]
    to_faulty = [t.theirs.load + t.theirs.forward + t.theirs.inject for t in found]

    def median(mine: list[float], theirs: list[float]) -> float:
        return statistics.median(b / a for a, b in zip(mine, theirs, strict=True))

    return {
        "experiments": len(found),
        "ours_per_hour": 3600 * len(found) / sum(ours),
        "theirs_per_hour": 3600 * len(found) / sum(whole),
        "ratio": sum(whole) / sum(ours),
        "ratio_without_start": sum(running) / sum(ours),
        "ratio_to_faulty_step": sum(to_faulty) / sum(faulty),
        "median_ratio": median(ours, whole),
        "median_ratio_without_start": median(ours, running),
        "median_ratio_to_faulty_step": median(faulty, to_faulty),
        "seconds": [
            {"ours": t.ours, "faulty": t.faulty, **dataclasses.asdict(t.theirs)}
            for t in found
        ],
    }


if __name__ == "__main__":
    make_deterministic()  # For the whole process, hence not in main.
    run(main)
