# SPDX-License-Identifier: Apache-2.0
"""Lists detectors of silent data corruption; fits their thresholds to clean steps."""

import argparse
import pathlib

from tpufi.cli import positive
from tpufi.cli.command import Command, CommandParser, add_commands
from tpufi.cli.run_options import add_run_options, run_config
from tpufi.errors import InputError


def _list(options: argparse.Namespace) -> int:
    from tpufi.detect import DETECTORS

    for name, kind in DETECTORS.items():
        print(f"{name:22} {kind().threshold:<8g} {kind.__doc__.splitlines()[0]}")
    return 0


def _add_calibrate(parser: CommandParser) -> None:
    add = parser.add_argument
    add("--out", required=True, type=pathlib.Path, help="file to write, JSON")
    add("--model", default="resnet18", help="workload, or file.py:NAME")
    add("--steps", type=positive, default=1000, help="clean steps to look at")
    add("--margin", type=float, default=3.0, help="threshold over the largest score")
    add("--detectors", nargs="+", metavar="NAME", help="default: all")
    add_run_options(parser, "fashion-mnist")


def _check_calibrate(options: argparse.Namespace) -> None:
    if not 1 <= options.margin < float("inf"):
        raise InputError(f"--margin {options.margin}: expected a number of at least 1")


def _calibrate(options: argparse.Namespace) -> int:
    from tpufi.detect import DETECTORS
    from tpufi.detect.calibration import calibrate
    from tpufi.models import any_workload
    from tpufi.progress import Progress

    work = any_workload(options.model)
    config = run_config(options, work, None)
    names = tuple(options.detectors or DETECTORS)
    progress = Progress("calibration", options.steps)
    ticks = progress.steps(range(options.steps))
    found = calibrate(
        config.session(),
        names,
        options.steps,
        options.margin,
        lambda number: next(ticks, None),
    )
    ticks.close()
    found.write(options.out)
    print(f"{found.steps} clean steps of {found.workload}, seed {found.seed}")
    for name in names:
        print(f"{name:22} {found.largest[name]:<10.4g} {found.thresholds[name]:.4g}")
    return 0


def _add_options(parser: CommandParser) -> None:
    add_commands(parser, COMMANDS)


COMMANDS = {
    "list": Command(
        "Lists the detectors with their thresholds.",
        ("tpufi detect list",),
        lambda _: None,
        _list,
    ),
    "calibrate": Command(
        "Fits thresholds to clean steps: largest score times a margin.",
        ("tpufi detect calibrate --data synthetic --steps 200 --out calibration.json",),
        _add_calibrate,
        _calibrate,
        _check_calibrate,
        deterministic=True,
    ),
}
COMMAND = Command(
    __doc__,
    ("tpufi detect list", "tpufi detect calibrate --out calibration.json"),
    _add_options,
)
