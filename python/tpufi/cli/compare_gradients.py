# SPDX-License-Identifier: Apache-2.0
"""Compares gradients of one step: handwritten with autodiff, or golden with faulty."""

import argparse
import pathlib

import tpufi
from tpufi.cli import natural, positive
from tpufi.cli.command import Command, CommandParser
from tpufi.errors import InputError

# The package that has them imports TensorFlow; a test compares.
ORDERS = ("order", "name", "elements", "norm", "largest", "relative", "changed",
          "flipped", "not_finite")  # fmt: skip
# Options that a golden run decides, with what they are without one.
_OF_THE_RUN = {
    "data": "fashion-mnist",
    "seed": 123,
    "replicas": 8,
    "per_replica": 128,
}


def _check(options: argparse.Namespace) -> None:
    if options.workload is None and options.file is None and options.golden is None:
        raise InputError("name a --workload, an injection --file or a --golden run")
    if options.golden is not None:
        for name in ("workload", *_OF_THE_RUN):
            if getattr(options, name) is not None:
                option = "--" + name.replace("_", "-")
                raise InputError(
                    f"the golden run decides {option}; leave one of them out"
                )
    if options.file is not None and options.dtype != "float32":
        raise InputError(
            "--dtype float64 is for autodiff; injections hold float32 values"
        )
    if options.picture is not None:
        _check_writable(pathlib.Path(options.picture))
    if options.file is not None:
        tpufi.read_injection(options.file)


def _compare(options: argparse.Namespace) -> int:
    from tpufi.contrib.isca23.gradient_comparison import (
        against_autodiff,
        as_csv,
        as_json,
        as_text,
        matching,
        plot_differences,
        select,
        with_injection,
    )
    from tpufi.models import any_workload

    # Check everything before the data are loaded or a program is compiled.
    config = _config(options)
    injection = None
    if options.file is not None:
        injection = tpufi.read_injection(
            options.file, lambda name: any_workload(name).sites(config.per_replica)
        )
    if options.variable is not None:
        names = [weight.name for weight in any_workload(config.workload).parameters]
        matching(options.variable, names)
    case = _case(options, config, injection)
    if injection is None:
        comparison = against_autodiff(case, options.dtype)
    else:
        comparison = with_injection(case, injection)
    rows = select(
        comparison.rows,
        sort=options.sort,
        containing=options.variable,
        top=options.top,
    )
    if options.json:
        print(as_json(comparison, rows))
    elif options.csv:
        print(as_csv(rows))
    else:
        print(f"step {case.number}, {case.origin}")
        print(as_text(comparison, rows))
    if options.picture is not None:
        plot_differences(comparison, pathlib.Path(options.picture))
    return 0


def _add_options(parser: CommandParser) -> None:
    parser.add_argument("--workload", help="name of the workload; default: the file's")
    parser.add_argument("--file", help="injection file (CSV); default: autodiff")
    parser.add_argument("--golden", help="folder of a golden run, for state and batch")
    parser.add_argument(
        "--epoch",
        type=natural,
        help="of the step; default: with a golden run the file's, else 0",
    )
    parser.add_argument("--step", type=natural, help="default: the file's, or 0")
    parser.add_argument("--data", help="data set (docs/data.md); fashion-mnist")
    parser.add_argument("--seed", type=natural, help="123")
    parser.add_argument("--replicas", type=positive, help="8")
    parser.add_argument("--per-replica", type=positive, help="images of a replica; 128")
    parser.add_argument(
        "--dtype",
        choices=("float32", "float64"),
        default="float32",
        help="type in which handwritten gradients and autodiff are computed",
    )
    parser.add_argument(
        "--sort",
        choices=ORDERS,
        default="order",
        help="of creation, by name, or the largest first",
    )
    parser.add_argument("--variable", help="only variables whose name contains this")
    parser.add_argument("--top", type=positive, help="only the first rows")
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="one JSON object")
    output.add_argument("--csv", action="store_true", help="CSV")
    parser.add_argument("--picture", help="picture of all variables to write (.png)")


def _config(options: argparse.Namespace) -> "tpufi.GoldenConfig":
    from tpufi.golden import GoldenFolder
    from tpufi.models import any_workload

    if options.golden is not None:
        return GoldenFolder(pathlib.Path(options.golden)).read_manifest()[0]
    name = options.workload or tpufi.read_injection(options.file).model
    chosen = {
        key: default if (given := getattr(options, key)) is None else given
        for key, default in _OF_THE_RUN.items()
    }
    work = any_workload(name)
    return tpufi.GoldenConfig(work.name, learning_rate=work.learning_rate, **chosen)


def _case(
    options: argparse.Namespace,
    config: "tpufi.GoldenConfig",
    injection: "tpufi.Injection | None",
) -> "tpufi.contrib.isca23.gradient_comparison.Case":
    from tpufi.contrib.isca23.gradient_comparison import Case

    if injection is not None and injection.model != config.workload:
        raise InputError(
            f"{options.file}: is for {injection.model}, not {config.workload}; leave "
            "--workload out, or name a golden run of that workload"
        )
    if options.golden is None:
        # First weights belong to no step in particular, so the file's is not taken.
        return Case.fresh(config, options.epoch or 0, options.step or 0)
    epoch = injection.target_epoch if injection else 0
    step = injection.target_step if injection else 0
    return Case.of_golden(
        options.golden,
        epoch if options.epoch is None else options.epoch,
        step if options.step is None else options.step,
    )


def _check_writable(path: pathlib.Path) -> None:
    if path.suffix != ".png":
        raise InputError(f"{path}: is not named as a picture; end its name in .png")
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent}; make it first")


COMMAND = Command(
    __doc__,
    (
        "tpufi compare-gradients --workload resnet18 --per-replica 4",
        "tpufi compare-gradients --file injection.csv --picture differences.png",
    ),
    _add_options,
    _compare,
    _check,
    deterministic=True,
)
