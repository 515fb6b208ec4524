# SPDX-License-Identifier: Apache-2.0
"""Converts a configuration of TensorFI or TensorFI2, with remarks on what changed."""

import argparse
import pathlib
import sys

from tpufi.cli.command import Command, CommandParser
from tpufi.errors import InputError
from tpufi.io import atomic_write
from tpufi.messages import show_path


def _add_options(parser: CommandParser) -> None:
    parser.add_argument("config", type=pathlib.Path, help="YAML file of theirs")
    parser.add_argument("--out", type=pathlib.Path, help="new file; else it is printed")
    parser.add_argument(
        "--legacy",
        action="store_true",
        help="keep their tolerances and bit model instead of strict IEEE faults",
    )


def _check(options: argparse.Namespace) -> None:
    if options.out is not None and options.out.exists():
        raise InputError(f"{show_path(options.out)} exists; name a new file")


def _convert(options: argparse.Namespace) -> int:
    from tpufi.contrib.tensorfi.config import read_config
    from tpufi.contrib.tensorfi.conversion import convert

    text = convert(read_config(options.config), options.legacy)
    if options.out is None:
        sys.stdout.write(text)
        return 0
    with atomic_write(options.out) as scratch:
        scratch.write_text(text)
    return 0


COMMAND = Command(
    __doc__,
    ("tpufi convert-config default.yaml --out faults.yaml",),
    _add_options,
    _convert,
    _check,
)
