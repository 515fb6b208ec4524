#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the bench of detectors, or makes its page from what has been run.

run   trains the golden runs and runs the campaigns of docs/results/detectors/plans, in
      turns, so that all have some experiments early; stopped, it goes on where it was
price measures what each detector adds to a clean step of resnet18
page  writes report, tables, pictures and the data set from what is there
"""

import argparse
import dataclasses
import json
import os
import pathlib
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # Errors are one line.

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from measure.detector_price import detector_prices

import tpufi
from tpufi.campaign.detector_bench import TOGETHER, Bench, joined
from tpufi.campaign.detector_table import Found, read_found
from tpufi.campaign.engine.here_pool import HerePool, HereWorker
from tpufi.campaign.engine.interrupt import interruptible
from tpufi.campaign.engine.run import run_campaign
from tpufi.campaign.engine.watcher import Watcher
from tpufi.campaign.journal import database
from tpufi.campaign.journal.answers import ALARM, measures_of, values_of
from tpufi.campaign.journal.export import export
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.journal.scores import scores_of
from tpufi.campaign.journal.writer import Writer
from tpufi.campaign.members import campaign_folders, note_members
from tpufi.campaign.plan_file import read_plans
from tpufi.campaign.report.detector_bench import bench_document, long_tables
from tpufi.campaign.report.document import Section, Table
from tpufi.campaign.report.write import write_beside
from tpufi.campaign.workload.golden_check import check_golden
from tpufi.campaign.workload.golden_scores import golden_scores
from tpufi.campaign.workload.recovered import RECOVERY as MEASURE
from tpufi.campaign.workload.subject import WorkloadSubject
from tpufi.cli import Parser, positive, run
from tpufi.cli.command import set_log_level
from tpufi.detect.recovery import IDENTICAL, LOST, WITHIN
from tpufi.errors import InputError
from tpufi.golden import GoldenConfig, GoldenFolder, train_golden
from tpufi.io import atomic_write
from tpufi.models import any_workload
from tpufi.statistics.intervals import wilson
from tpufi.training import make_deterministic

PAGE = pathlib.Path(__file__).parents[1] / "docs/results/detectors"
# Plan -> folder of its golden runs, in the order of the turns.
CLEAN = "clean"  # Scores of clean steps are all that it is for.
RECOVERY = "recovery"  # Its experiments are done again under recovery.
PLANS = {
    "transients": "golden",
    "intermittent": "golden",
    "units": "golden",
    RECOVERY: "golden",
    CLEAN: "clean",
}
WORKLOADS = ("RESNET", "RESNET_SGD", "EFFNET", "DECODER")
REPLICAS, IMAGES, TEXTS = 3, 8, 2
DATA, PRICES = "trainfi_v1", "prices.json"
PRICED, ROUNDS = 64, 9  # Images of a step, and steps of each kind.
# Folder of golden runs -> seed, steps, steps between checkpoints.
GOLDEN = {"golden": (123, 240, 10), "clean": (124, 75_000, 5000)}


def main(argv: Sequence[str] | None) -> int:
    """Run the bench, or write its page."""
    parser = Parser(description=__doc__)
    parser.add_argument("what", choices=("run", "price", "page"))
    parser.add_argument(
        "--out", type=pathlib.Path, required=True, help="folder of the campaigns"
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
        return write_page(options.out, options.page)
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
            for plan, golden in PLANS.items():
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
    config = GoldenConfig("resnet18", options.data, replicas=1, per_replica=PRICED)
    found = detector_prices(config, ROUNDS)
    options.out.mkdir(parents=True, exist_ok=True)
    with atomic_write(options.out / PRICES) as file:
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
    seed, steps, every = GOLDEN[folder]
    if folder == CLEAN and options.clean_steps:
        steps = options.clean_steps
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


def _journals(out: pathlib.Path) -> Iterator[tuple[str, str, Reader]]:
    """Yield the journals that are begun, open: plan, workload, journal."""
    for plan in PLANS:
        for folder in campaign_folders(out / "campaigns" / plan):
            if (folder / database.NAME).exists():
                with Reader.open(folder) as journal, journal.untrusted():
                    workload = str(journal.plan()["workload"]).rpartition(":")[2]
                    yield plan, workload, journal


def read_bench(out: pathlib.Path) -> Bench:
    """Return what the campaigns in a folder found, as far as they are."""
    found: dict[bool, list[tuple[str, Found]]] = {True: [], False: []}
    for plan, workload, journal in _journals(out):
        own = read_found(journal)
        if own is not None and (len(own.numbers) or plan == CLEAN):
            found[plan == CLEAN].append((workload, own))
    return Bench(joined(found[False]), joined(found[True]))


def write_data(out: pathlib.Path, page: pathlib.Path) -> None:
    """Write the experiments of all campaigns as Parquet, and what they depend on.

    The columns are the journal's (docs/journal.md), `plan` and `workload` before them,
    and the scores of each step by each detector behind them, `score NAME`.
    """
    tables, manifests = [], {}
    for plan, workload, journal in _journals(out):
        with tempfile.TemporaryDirectory() as scratch:
            file = pathlib.Path(scratch) / "rows.parquet"
            if not export(journal, file):
                continue
            table = pq.read_table(file)
        for place, (name, text) in enumerate((("plan", plan), ("workload", workload))):
            column = pa.array([text] * len(table)).dictionary_encode()
            table = table.add_column(place, name, column)
        for measure, label, _ in measures_of(journal):
            if label.startswith(ALARM):
                own = [scores.tolist() for _, scores in scores_of(journal, measure)]
                column = pa.array(own, pa.list_(pa.float32()))
                name = f"score {label.removeprefix(ALARM)}"
                table = table.append_column(name, column)
        tables.append(table)
        manifest = journal.manifest()
        manifest["plan"] = json.loads(manifest["plan"])
        manifests[f"{plan}/{workload}"] = manifest
    # Of recovery some campaigns have columns, which the rows of others leave empty.
    whole = pa.concat_tables(tables, promote_options="default").unify_dictionaries()
    pq.write_table(whole, page / f"{DATA}.parquet", compression="zstd")
    with atomic_write(page / f"{DATA}.json") as file:
        file.write_text(json.dumps(manifests, indent=1, sort_keys=True) + "\n")
    print(page / f"{DATA}.parquet", len(whole))


def write_page(out: pathlib.Path, page: pathlib.Path) -> int:
    """Write page, tables and pictures."""
    bench = read_bench(out)
    closing = (_recovery(out), _prices(out), _goals(bench))
    document = bench_document(bench, TITLE, SUMMARY, (*filter(None, closing),))
    write_beside(document, page, long_tables(bench))
    print(page / "report.md")
    write_data(out, page)
    return 0


def _recovery(out: pathlib.Path) -> Section | None:
    """Return what became of experiments that were done again under recovery."""
    rows = []
    for plan, workload, journal in _journals(out):
        if plan != RECOVERY:
            continue
        counts = {
            name.removeprefix(MEASURE): int(np.nansum([*values_of(journal, measure)]))
            for measure, name, is_truth in measures_of(journal)
            if name.startswith(MEASURE) and is_truth
        }
        rows.append(
            {"workload": workload, "experiments": sum(counts.values())} | counts
        )
    if not rows:
        return None
    total = {name: sum(r[name] for r in rows) for name in rows[0] if name != "workload"}
    rows.append({"workload": "all"} | total)
    seen = total[IDENTICAL] + total[WITHIN] + total[LOST]
    table = Table.of("recovery", "Experiments done again under recovery.", rows)
    low, high = wilson(total[IDENTICAL], seen)
    note = (
        f"Of {seen} experiments with a confirmed alarm {total[IDENTICAL]} end in the "
        f"bits of the golden run ({low:.1%} to {high:.1%}; the goal is 99 %). "
        "Thresholds are the default ones; a restored step is done again without the "
        "fault."
    )
    return Section(RECOVERY, "Recovery", (table, note))


def _prices(out: pathlib.Path) -> Section | None:
    """Return the price of detectors, if it was measured."""
    if not (out / PRICES).exists():
        return None
    prices = json.loads((out / PRICES).read_text())
    rows = [
        {"detector": name, "clean steps": price["median"], "from": price["least"],
         "to": price["most"]}
        for name, price in prices.items()
    ]  # fmt: skip
    note = (
        f"A watched step of resnet18, {PRICED} images, against an unwatched one, on a "
        f"CPU in graph mode: medians of {ROUNDS} pairs with 95 % intervals. Exact "
        "replay of every n-th step costs 1 / n. The goal of all together is 1.02. "
        "Cycles of a TPU are not measured."
    )
    table = Table.of("prices", "Price of detectors.", rows)
    return Section("price", "Price", (table, note))


def _goals(bench: Bench) -> Section:
    """Return the goals of all detectors together, reached or not."""
    found, name = bench.scored, TOGETHER
    latency = bench.latencies(True)[name]
    hits = latency[found.harmful & (latency >= 0)]
    total = int(found.harmful.sum())
    low, _ = wilson(len(hits), total)
    alarms, steps = bench.clean_alarms(True)[name], bench.clean_steps
    most = wilson(alarms, steps)[1] * 1e6 if steps else float("nan")
    median = float(np.median(hits)) if hits.size else float("nan")
    rows = [
        ("coverage of harmful experiments, lower bound", 0.95, low, low >= 0.95),
        ("median latency, steps", 1.0, median, median <= 1),
        ("false alarms per million clean steps, upper bound", 1.0, most, most <= 1),
    ]
    cells = [
        {"of all detectors together": what, "goal": goal, "measured": value,
         "reached": "yes" if reached else "no"}
        for what, goal, value, reached in rows
    ]  # fmt: skip
    note = (
        f"{alarms} alarms in {steps} clean steps. With so few steps the last goal "
        "cannot be shown: a rate of 1 per million needs 3.7 million steps without "
        "alarm."
    )
    table = Table.of("goals", "Goals, fitted thresholds.", cells)
    return Section("goals", "Goals", (table, note))


TITLE = "A bench of detectors of silent data corruption in training"
SUMMARY = (
    "Four small trainings under faults, every step seen by all detectors of tpufi; "
    "written by tools/detector_bench.py page."
)

if __name__ == "__main__":
    run(main)
