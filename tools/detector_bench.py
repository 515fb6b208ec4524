#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the bench of detectors, or makes its page from what has been run.

run   trains the golden runs and runs the campaigns of docs/results/detectors/plans, in
      turns, so that all have some experiments early; stopped, it goes on where it was
price measures what each detector adds to a clean step of resnet18
data  adds what has been run to the data set
page  writes report, tables and pictures from the data set
"""

import argparse
import dataclasses
import json
import os
import pathlib
import shutil
import sys
from collections.abc import Callable, Sequence

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # Errors are one line.

from measure.detector_page import CLEAN, PRICES, RECOVERY, write_page
from measure.detector_price import detector_prices
from measure.trainfi import add_campaigns

import tpufi
from tpufi.campaign.engine.here_pool import HerePool, HereWorker
from tpufi.campaign.engine.interrupt import interruptible
from tpufi.campaign.engine.run import run_campaign
from tpufi.campaign.engine.watcher import Watcher
from tpufi.campaign.journal import database
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.journal.writer import Writer
from tpufi.campaign.members import note_members
from tpufi.campaign.plan_file import read_plans
from tpufi.campaign.workload.golden_check import check_golden
from tpufi.campaign.workload.golden_scores import golden_scores
from tpufi.campaign.workload.subject import WorkloadSubject
from tpufi.cli import Parser, positive, run
from tpufi.cli.command import set_log_level
from tpufi.errors import InputError
from tpufi.golden import GoldenConfig, GoldenFolder, train_golden
from tpufi.io import atomic_write
from tpufi.models import any_workload
from tpufi.training import make_deterministic

PAGE = pathlib.Path(__file__).parents[1] / "docs/results/detectors"
# Plan -> folder of its golden runs, in the order of the turns.
PLANS = {
    "transients": "golden",
    "intermittent": "golden",
    "units": "golden",
    RECOVERY: "golden",
    CLEAN: "clean",
}
WORKLOADS = ("RESNET", "RESNET_SGD", "EFFNET", "DECODER")
REPLICAS, IMAGES, TEXTS = 3, 8, 2
# Folder of golden runs -> seed, steps between checkpoints.
GOLDEN = {"golden": (123, 10), "clean": (124, 5000)}
STEPS = 240  # Of a golden run that faults are injected into.
# Of one that has none; those whose steps are cheapest have the most.
CLEAN_STEPS = {
    "RESNET": 40_000,
    "RESNET_SGD": 120_000,
    "EFFNET": 40_000,
    "DECODER": 100_000,
}


def main(argv: Sequence[str] | None) -> int:
    """Run the bench, or write its page."""
    parser = Parser(description=__doc__)
    parser.add_argument("what", choices=("run", "price", "data", "page"))
    parser.add_argument(
        "--out", type=pathlib.Path, help="folder of the campaigns; not for page"
    )
    parser.add_argument("--data", help="images, e.g. cifar10.npz (docs/data.md)")
    parser.add_argument(
        "--turn", type=positive, default=150, help="experiments in turn, default 150"
    )
    parser.add_argument(
        "--most", type=positive, default=1000, help="experiments of a campaign"
    )
    parser.add_argument(
        "--clean-steps", type=positive, help="clean steps of a workload, fewer than all"
    )
    parser.add_argument(
        "--plans", nargs="+", choices=PLANS, default=[*PLANS], help="only these"
    )
    parser.add_argument(
        "--workloads",
        nargs="+",
        choices=WORKLOADS,
        default=WORKLOADS,
        help="only these: several processes can share the work",
    )
    parser.add_argument(
        "--page", type=pathlib.Path, default=PAGE, help="folder of the page"
    )
    options = parser.parse_args(argv)
    set_log_level(options)
    if options.what == "page":
        return write_page(options.page)
    if options.what != "price" and options.out is None:
        raise InputError("--out is missing: name the folder of the campaigns")
    if options.what == "data":
        add_campaigns(options.out, options.plans, options.page)
        return 0
    if options.data is None:
        raise InputError("--data is missing: name the images, e.g. cifar10.npz")
    return (_run if options.what == "run" else _price)(options)


class KeptWorker(HereWorker):
    """The worker of this process; its runner, once made, serves all turns.

    Args:
      subject: what it runs.
    """

    def __init__(self, subject: WorkloadSubject):
        super().__init__(subject.open)
        self.subject = subject
        self._is_ready = False

    def ready(self) -> InputError | None:
        if self._is_ready:
            return None
        error = super().ready()
        self._is_ready = error is None
        return error


def _run(options: argparse.Namespace) -> int:
    make_deterministic()
    options.out.mkdir(parents=True, exist_ok=True)
    for file in PAGE.joinpath("plans").iterdir():
        if file.is_file():
            shutil.copy(file, options.out / file.name)
    kept: dict[pathlib.Path, KeptWorker] = {}
    with interruptible() as stopping:
        for count in range(options.turn, options.most + options.turn, options.turn):
            for plan in options.plans:
                golden = PLANS[plan]
                plans = read_plans(options.out / f"{plan}.yaml")
                note_members(options.out / "campaigns" / plan, plans)
                own_plans = dict(zip(WORKLOADS, plans.items(), strict=True))
                for workload in options.workloads:
                    name, own = own_plans[workload]
                    folder = options.out / "campaigns" / plan / name
                    if is_done(plan, folder, min(count, own.stop.experiments)):
                        continue
                    if stopping():
                        raise KeyboardInterrupt
                    train(options, golden, workload)
                    if folder not in kept:
                        check_golden(own)
                        found = golden_scores(own)
                        kept[folder] = KeptWorker(WorkloadSubject(own, True, found))
                    if plan == CLEAN:
                        keep_scores(kept.pop(folder).subject, folder)
                    elif not turn(kept[folder], folder, count, stopping):
                        raise KeyboardInterrupt
    return 0


def _price(options: argparse.Namespace) -> int:
    make_deterministic()
    found = detector_prices(options.data)
    with atomic_write(options.page / PRICES) as file:
        file.write_text(json.dumps(found, indent=1) + "\n")
    for name, price in found.items():
        print(f"{name}: {price['median']:.3f} clean steps")
    return 0


def is_done(plan: str, folder: pathlib.Path, experiments: int) -> bool:
    """Return whether a campaign has all experiments, or all scores of clean steps."""
    if not (folder / database.NAME).exists():
        return False
    with Reader.open(folder) as journal:
        return plan == CLEAN or journal.count() >= experiments


def keep_scores(subject: WorkloadSubject, folder: pathlib.Path) -> None:
    """Begin the journal of a campaign: it has the scores of the golden run."""
    written = subject.manifest(), subject.session(sys.argv, tpufi.__version__)
    with Writer(folder, *written, subject.measures, subject.golden_scores):
        print(f"{folder}: {subject.golden.steps} clean steps", flush=True)


def train(options: argparse.Namespace, folder: str, name: str) -> None:
    """Train a golden run of a workload, or what is missing of it."""
    seed, every = GOLDEN[folder]
    steps = STEPS
    if folder == CLEAN:
        steps = options.clean_steps or CLEAN_STEPS[name]
    text = name == "DECODER"
    workload = any_workload(f"{options.out / 'workloads.py'}:{name}")
    config = GoldenConfig(
        workload.name,
        "python-text" if text else options.data,
        seed,
        REPLICAS,
        TEXTS if text else IMAGES,
        workload.learning_rate,
    )
    path = options.out / folder / name
    done = GoldenFolder(path).checkpoints() if path.exists() else []
    if steps not in done:
        train_golden(config, path, steps, every)


def turn(
    worker: KeptWorker,
    folder: pathlib.Path,
    count: int,
    stopping: Callable[[], bool],
) -> bool:
    """Run a campaign up to so many experiments; return whether it got there."""
    subject = worker.subject
    stop = subject.plan.stop
    stop = dataclasses.replace(stop, experiments=min(count, stop.experiments))
    plan = dataclasses.replace(subject.plan, stop=stop)
    subject = dataclasses.replace(subject, plan=plan)
    ended = run_campaign(
        subject,
        folder,
        subject.manifest(),
        subject.session(sys.argv, tpufi.__version__),
        lambda: HerePool(worker),
        Watcher(),
        stopping=stopping,
        allow_inactive=True,
    )
    print(f"{folder}: {ended.reason}", flush=True)
    return ended.reason is not None


if __name__ == "__main__":
    run(main)
