# SPDX-License-Identifier: Apache-2.0
"""Imports a checkpoint of the ISCA'23 artefact as the start of a golden run."""

import argparse
import csv
import sys
from collections.abc import Iterable

import tpufi
from tpufi.cli import positive
from tpufi.cli.command import Command, CommandParser
from tpufi.cli.run_options import add_run_options, run_config
from tpufi.errors import InputError


def _check(options: argparse.Namespace) -> None:
    if options.list:
        return
    if options.workload is None:
        raise InputError("name the --workload that the checkpoint is of")
    if options.out is None and not options.print_mapping:
        raise InputError("name the folder of the golden run with --out")


def _import(options: argparse.Namespace) -> int:
    from tpufi.contrib.isca23.checkpoint import (
        Origin,
        by_mapping,
        by_order,
        format_mapping,
        import_into,
        imported_state,
        read_checkpoint,
        read_mapping,
        updates_of,
    )
    from tpufi.models import workload

    checkpoint = read_checkpoint(options.checkpoint, options.ignore)
    if options.list:
        _list(checkpoint.variables)
        return 0
    work = workload(options.workload)
    if options.mapping is None:
        assignment = by_order(checkpoint, work)
    else:
        rows = read_mapping(options.mapping)
        assignment = by_mapping(checkpoint, work, rows, options.mapping)
    if options.print_mapping:
        print(format_mapping(assignment))
        return 0

    config = run_config(options, work)
    session = config.session()
    updates = updates_of(checkpoint, session.steps_per_epoch, options.updates)
    if options.steps is not None and options.steps <= updates:
        raise InputError(
            f"the run starts at step {updates} and would end at {options.steps}; give "
            f"--steps {updates + 1} or more"
        )
    state, slots = imported_state(checkpoint, assignment, work, updates)
    origin = Origin(
        checkpoint=str(options.checkpoint),
        sha256=checkpoint.sha256,
        matched="by order" if options.mapping is None else str(options.mapping),
        slots=slots,
        updates="--updates" if options.updates is not None else "checkpoint",
        ignored=checkpoint.ignored,
    )
    config = import_into(options.out, config, session, state, origin)
    epoch, step = divmod(updates, session.steps_per_epoch)
    print(
        f"imported {len(assignment)} variables; {slots}; the run in {options.out} "
        f"starts at epoch {epoch} step {step} (step {updates} of training)"
    )
    if options.steps is None:
        print("to train it, give the same command with --steps N, N steps since step 0")
        return 0
    every = options.checkpoint_every or session.steps_per_epoch
    tpufi.train_golden(config, options.out, options.steps, every, session)
    print(f"golden run up to step {options.steps} in {options.out}")
    return 0


def _add_options(parser: CommandParser) -> None:
    parser.add_argument(
        "--checkpoint", required=True, help="path of its files without .index"
    )
    parser.add_argument("--workload", help="name of the workload")
    parser.add_argument("--out", help="folder of the golden run to make")
    parser.add_argument(
        "--mapping", help="CSV file that names the variables; default: by their order"
    )
    parser.add_argument(
        "--ignore",
        action="append",
        default=[],
        help="regular expression of paths to leave out; can be given again",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--list", action="store_true", help="only print the variables as CSV"
    )
    what.add_argument(
        "--print-mapping", action="store_true", help="only print which is which"
    )
    add_run_options(parser, "cifar10")
    parser.add_argument(
        "--updates",
        type=positive,
        help="updates the checkpoint has behind it; default: as it says itself",
    )
    parser.add_argument(
        "--steps", type=positive, help="train on up to so many steps since step 0"
    )


def _list(variables: Iterable["tpufi.contrib.isca23.checkpoint.Variable"]) -> None:
    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerow(("path", "shape", "dtype", "full_name", "slots"))
    for variable in variables:
        shape = "x".join(map(str, variable.shape))
        slots = " ".join(sorted(variable.slots))
        rows.writerow((variable.path, shape, variable.dtype, variable.full_name, slots))


COMMAND = Command(
    __doc__,
    (
        "tpufi import-checkpoint --checkpoint epoch_30 --list",
        "tpufi import-checkpoint --checkpoint epoch_30 --workload resnet18 --out run",
    ),
    _add_options,
    _import,
    _check,
    deterministic=True,
)
