# SPDX-License-Identifier: Apache-2.0
"""Trains the golden run of a workload; run again, it goes on where it was stopped."""

import argparse

from tpufi.cli import positive
from tpufi.cli.command import Command, CommandParser
from tpufi.cli.run_options import add_run_options, run_config
from tpufi.errors import InputError
from tpufi.messages import counted


def _add_options(parser: CommandParser) -> None:
    add = parser.add_argument
    add("--out", required=True, help="folder of the golden run")
    add("--model", default="resnet18", help="workload, or file.py:NAME")
    add_run_options(parser, "fashion-mnist")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--epochs", type=positive, help="train so many epochs")
    length.add_argument("--steps", type=positive, help="train so many steps")
    add("--start-from", help="folder of a golden run to start from, not at step 0")
    add("--start-step", type=positive, help="its checkpoint after so many steps")
    add(
        "--count-from",
        type=positive,
        help="steps that count as done there; default: those that were done",
    )


def _check(options: argparse.Namespace) -> None:
    if options.count_from is not None and options.start_from is None:
        raise InputError("--count-from says how a start counts; give --start-from")
    if (options.start_from is None) != (options.start_step is None):
        raise InputError("--start-from and --start-step belong together; give both")


def _train(options: argparse.Namespace) -> int:
    from tpufi.golden import find_start, train_golden
    from tpufi.models import any_workload

    work = any_workload(options.model)
    start = None
    if options.start_from is not None:
        start = find_start(options.start_from, options.start_step, options.count_from)
    config = run_config(options, work, start)
    session = config.session()
    steps = options.steps or (options.epochs or 1) * session.steps_per_epoch
    every = options.checkpoint_every or session.steps_per_epoch
    if steps <= config.first_step:
        raise InputError(
            f"the run starts at step {config.first_step} and would end at {steps}; "
            f"give --steps {config.first_step + 1} or more"
        )
    train_golden(config, options.out, steps, every, session, options.start_from)
    print(f"golden run of {counted(steps, 'step')} in {options.out}")
    return 0


COMMAND = Command(
    __doc__,
    ("tpufi golden --out runs/golden --data fashion-mnist --epochs 1",),
    _add_options,
    _train,
    _check,
    deterministic=True,
)
