#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Converts a configuration of TensorFI or TensorFI2, with remarks on what changed."""

import os
import pathlib
import sys
from collections.abc import Sequence

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # Errors are one line.

from tpufi.cli import Parser, run
from tpufi.errors import InputError
from tpufi.instrument.tensorfi.conversion import convert
from tpufi.instrument.tensorfi.fields import tree_of
from tpufi.messages import one_line, show_path


def main(argv: Sequence[str] | None) -> int:
    """Print the converted file, or write it."""
    parser = Parser(description=__doc__)
    parser.add_argument("config", type=pathlib.Path, help="YAML file of theirs")
    parser.add_argument("--out", type=pathlib.Path, help="new file; else it is printed")
    parser.add_argument(
        "--legacy",
        action="store_true",
        help="keep their tolerances and bit model instead of strict IEEE faults",
    )
    options = parser.parse_args(argv)
    text = convert(tree_of(options.config), options.legacy)
    if options.out is None:
        sys.stdout.write(text)
        return 0
    if options.out.exists():
        raise InputError(f"{show_path(options.out)} exists; name a new file")
    part = options.out.with_suffix(options.out.suffix + ".part")
    try:
        part.write_text(text)
        part.rename(options.out)
    except OSError as error:
        raise InputError(
            f"{show_path(options.out)}: {one_line(error)}; name another file"
        ) from None
    return 0


if __name__ == "__main__":
    run(main)
