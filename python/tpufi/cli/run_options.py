# SPDX-License-Identifier: Apache-2.0
"""Options of commands that determine a golden run, and where a program runs."""

import argparse

import tpufi
from tpufi.cli import natural, positive

# The package that has them imports TensorFlow; a test compares.
DEVICES = ("auto", "cpu", "gpu", "tpu")
STRATEGIES = ("virtual", "mirrored", "tpu")


def add_run_options(parser: argparse.ArgumentParser, data: str) -> None:
    """Give a parser the options of a golden run.

    Args:
      parser: takes the options.
      data: the data set without --data.
    """
    add = parser.add_argument
    add("--data", default=data, help=f"data set; default {data}; docs/data.md")
    add("--seed", type=natural, default=123, help="of the run, default 123")
    add("--replicas", type=positive, default=8, help="default 8")
    add(
        "--per-replica",
        type=positive,
        default=128,
        help="examples of a replica in a step, default 128",
    )
    add("--learning-rate", type=float, help="initial rate; default: the workload's")
    add(
        "--strategy",
        choices=STRATEGIES,
        default="virtual",
        help="where replicas run: one device, several, or a TPU VM",
    )
    add_device_options(parser, "a TPU, else a GPU, else the CPU")
    add("--checkpoint-every", type=positive, help="steps; default: one epoch")
    add("--steps-per-epoch", type=positive, help="default: one pass over the data")


def add_device_options(parser: argparse.ArgumentParser, default: str) -> None:
    """Give a parser --device and --compile.

    Args:
      parser: takes the options.
      default: what `auto` stands for, in words.
    """
    parser.add_argument(
        "--device",
        choices=DEVICES,
        default="auto",
        help=f"where it runs; default auto: {default}",
    )
    parser.add_argument(
        "--compile",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="whether XLA compiles; default: on a GPU and a TPU, where it must",
    )


def run_config(
    options: argparse.Namespace,
    work: "tpufi.Workload",
    start: "tpufi.golden.Start | None" = None,
) -> "tpufi.GoldenConfig":
    """Return the golden run that the options of `add_run_options` determine.

    Args:
      options: the parsed options.
      work: its workload, which gives the learning rate unless an option does.
      start: where it begins; None: at step 0.
    """
    from tpufi.training.devices import asked

    rate = options.learning_rate
    placement = asked(options).placement(options.strategy)
    return tpufi.GoldenConfig(
        work.name,
        options.data,
        options.seed,
        options.replicas,
        options.per_replica,
        work.learning_rate if rate is None else rate,
        options.strategy,
        options.steps_per_epoch,
        start,
        placement.device,
        placement.compiled,
    )
