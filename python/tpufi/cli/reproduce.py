# SPDX-License-Identifier: Apache-2.0
"""Replays the published injections and writes a page on what happened.

Trains the golden runs that are missing. Stop it or kill it at any moment; the same
command goes on from there, and what is complete is not done again.
"""

import argparse
import pathlib
import sys
import time
from collections.abc import Mapping, Sequence

import tpufi
from tpufi.cli import positive
from tpufi.cli.command import Command, CommandParser
from tpufi.io import atomic_write
from tpufi.outcomes.outcome_thresholds import DEFAULT_FILE, Thresholds, read_thresholds

_PAGE = "published_injections.md"


def _add_options(parser: CommandParser) -> None:
    parser.add_argument(
        "--data", default="fashion-mnist", help="data set; docs/data.md"
    )
    parser.add_argument(
        "--data-name", help="what the report calls it; default: its name and size"
    )
    parser.add_argument(
        "--out", default="runs/reproduce", help="folder for runs and measurements"
    )
    parser.add_argument("--report", help=f"page to write; default: {_PAGE} in --out")
    parser.add_argument(
        "--thresholds", default=DEFAULT_FILE, metavar="FILE", help="docs/outcomes.md"
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="NAME",
        help="measure only this workload or workload/file; may be given several times",
    )
    parser.add_argument(
        "--approach-steps",
        type=positive,
        help="cheap steps that train a workload before; default: docs/replay.md",
    )
    parser.add_argument(
        "--warm",
        type=positive,
        help="golden steps of the published size before the faulty one",
    )
    parser.add_argument(
        "--horizon",
        type=positive,
        help="steps to follow, the faulty one included; another --out for each number",
    )
    parser.add_argument(
        "--report-only",
        action="store_true",
        help="train nothing; write the page from what has been measured",
    )


def _check(options: argparse.Namespace) -> None:
    read_thresholds(options.thresholds)


def _reproduce(options: argparse.Namespace) -> int:
    from tpufi.contrib.isca23.reproduction.plan import (
        Case,
        Plan,
        cases,
        chosen,
        plan_of,
    )
    from tpufi.contrib.isca23.reproduction.report import Report, read_explanations
    from tpufi.contrib.isca23.reproduction.results import Measured
    from tpufi.contrib.isca23.reproduction.runs import Runs
    from tpufi.faults.csv import PUBLISHED

    sys.stdout.reconfigure(line_buffering=True)  # In step with the progress.
    limits = read_thresholds(options.thresholds)
    every = cases(PUBLISHED, Plan.per_replica)
    plans = {
        name: plan_of(
            name,
            approach_steps=options.approach_steps,
            warm=options.warm,
            horizon=options.horizon,
        )
        for name in dict.fromkeys(c.injection.model for c in every)
    }
    out = pathlib.Path(options.out)
    report = pathlib.Path(options.report or out / _PAGE)
    explanations = read_explanations(
        report.with_suffix(".toml"), tuple(c.label for c in every)
    )
    wanted = chosen(every, options.only)
    dataset = tpufi.load_dataset(options.data)
    out.mkdir(parents=True, exist_ok=True)
    data_name = options.data_name or (
        f"{options.data}: {len(dataset.train_labels)} training and "
        f"{len(dataset.test_labels)} test images"
    )

    runs = {
        name: Runs(name, plan, options.data, dataset, out)
        for name, plan in plans.items()
    }
    # Those that an earlier call has measured stay in the report.
    known = {c.label: runs[c.injection.model].known(c) for c in every}
    measured = {label: found for label, found in known.items() if found is not None}

    def write() -> None:
        pictures = _pictures(every, measured, limits, report)
        page = Report(plans, data_name, limits, every, measured, explanations, pictures)
        _write(report, page.page())

    def note(case: Case, found: Measured, begun: float) -> None:
        measured[case.label] = found
        print(
            f"{case.label}: {found.outcome(limits)} (the name says {case.expected}), "
            f"{1 + len(found.others)} golden runs, {time.monotonic() - begun:.0f} s"
        )
        write()

    if options.report_only:
        write()
        wanted = ()
    for case in wanted:
        begun = time.monotonic()
        note(case, runs[case.injection.model].measure(case, limits), begun)
    # The band comes last: it decides close cases only.
    for case in wanted:
        begun, found = time.monotonic(), measured[case.label]
        note(case, runs[case.injection.model].widen(case, found), begun)
    print("report:", report)
    return 0


def _pictures(
    every: "Sequence[tpufi.contrib.isca23.reproduction.plan.Case]",
    measured: "Mapping[str, tpufi.contrib.isca23.reproduction.results.Measured]",
    limits: Thresholds,
    report: pathlib.Path,
) -> dict[str, str]:
    """Draw a picture of each workload; return their names in the report's folder."""
    from tpufi.contrib.isca23.reproduction.picture import draw

    report.parent.mkdir(parents=True, exist_ok=True)
    pictures = {}
    for workload in dict.fromkeys(c.injection.model for c in every):
        results = {
            c.label: (measured[c.label], measured[c.label].outcome(limits))
            for c in every
            if c.injection.model == workload and c.label in measured
        }
        if results:
            pictures[workload] = f"{report.stem}_{workload}.png"
            draw(results, report.with_name(pictures[workload]))
    return pictures


def _write(report: pathlib.Path, page: str) -> None:
    with atomic_write(report) as scratch:
        scratch.write_text(page)


COMMAND = Command(
    __doc__,
    ("tpufi reproduce --only resnet18 --out runs/reproduce",),
    _add_options,
    _reproduce,
    _check,
    deterministic=True,
)
