# SPDX-License-Identifier: Apache-2.0
"""Trains the golden run of a workload; run again, it goes on where it was stopped."""

import argparse

from tpufi.cli import natural, positive
from tpufi.command import Command, CommandParser
from tpufi.errors import InputError
from tpufi.golden import GoldenConfig, find_start, train_golden
from tpufi.models import workload
from tpufi.training.strategies import STRATEGIES


def _add_options(parser: CommandParser) -> None:
    parser.add_argument("--out", required=True, help="folder of the golden run")
    parser.add_argument("--model", default="resnet18", help="workload")
    parser.add_argument(
        "--data", default="fashion-mnist", help="data set; docs/data.md"
    )
    parser.add_argument("--seed", type=natural, default=123)
    parser.add_argument("--replicas", type=positive, default=8)
    parser.add_argument(
        "--per-replica",
        type=positive,
        default=128,
        help="images of a replica in a step",
    )
    parser.add_argument(
        "--learning-rate", type=float, help="initial rate; default: the workload's"
    )
    parser.add_argument(
        "--strategy",
        choices=STRATEGIES,
        default="virtual",
        help="where replicas run: one device, several, or a TPU VM",
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--epochs", type=positive, help="train so many epochs")
    length.add_argument("--steps", type=positive, help="train so many steps")
    parser.add_argument(
        "--checkpoint-every", type=positive, help="steps; default: one epoch"
    )
    parser.add_argument(
        "--steps-per-epoch", type=positive, help="default: one pass over the data"
    )
    parser.add_argument(
        "--start-from", help="folder of a golden run to start from, not at step 0"
    )
    parser.add_argument(
        "--start-step", type=positive, help="its checkpoint after so many steps"
    )
    parser.add_argument(
        "--count-from",
        type=positive,
        help="steps that count as done there; default: those that were done",
    )


def _train(options: argparse.Namespace) -> int:
    if options.count_from is not None and options.start_from is None:
        raise InputError("--count-from says how a start counts; give --start-from")
    if (options.start_from is None) != (options.start_step is None):
        raise InputError("--start-from and --start-step belong together; give both")

    rate = options.learning_rate
    if rate is None:
        rate = workload(options.model).learning_rate
    config = GoldenConfig(
        options.model,
        options.data,
        options.seed,
        options.replicas,
        options.per_replica,
        rate,
        options.strategy,
        options.steps_per_epoch,
        find_start(options.start_from, options.start_step, options.count_from)
        if options.start_from is not None
        else None,
    )
    session = config.session()
    steps = options.steps or (options.epochs or 1) * session.steps_per_epoch
    every = options.checkpoint_every or session.steps_per_epoch
    if steps <= config.first_step:
        raise InputError(
            f"the run starts at step {config.first_step} and would end at {steps}; "
            f"give --steps {config.first_step + 1} or more"
        )
    train_golden(config, options.out, steps, every, session, options.start_from)
    print(f"golden run of {steps} steps in {options.out}")
    return 0


COMMAND = Command(
    __doc__,
    ("tpufi golden --out runs/golden --data fashion-mnist --epochs 1",),
    _add_options,
    _train,
    deterministic=True,
)
main = COMMAND.main
