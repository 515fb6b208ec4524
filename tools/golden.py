#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trains the golden run of a workload; run again, it goes on where it was stopped."""

import os
from collections.abc import Sequence

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # Errors are one line.

from tpufi.cli import Parser, natural, positive, run
from tpufi.golden import GoldenConfig, train_golden
from tpufi.models import workload
from tpufi.training import make_deterministic
from tpufi.training.strategies import STRATEGIES


def main(argv: Sequence[str] | None) -> int:
    """Train the golden run."""
    parser = Parser(description=__doc__)
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
    options = parser.parse_args(argv)

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
    )
    session = config.session()
    steps = options.steps or (options.epochs or 1) * session.steps_per_epoch
    every = options.checkpoint_every or session.steps_per_epoch
    train_golden(config, options.out, steps, every, session)
    print(f"golden run of {steps} steps in {options.out}")
    return 0


if __name__ == "__main__":
    make_deterministic()  # For the whole process, hence not in main.
    run(main)
