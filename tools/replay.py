#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Replays one injection file from a golden run and records what happens."""

import os
import pathlib
from collections.abc import Sequence

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # Errors are one line.

from tpufi.cli import Parser, natural, positive, run
from tpufi.golden import GoldenFolder
from tpufi.injection_csv import read_injection
from tpufi.models import workload
from tpufi.replay import replay
from tpufi.replay_table import table
from tpufi.training import make_deterministic


def main(argv: Sequence[str] | None) -> int:
    """Replay the injection."""
    parser = Parser(description=__doc__)
    parser.add_argument("--file", required=True, help="injection file (CSV)")
    parser.add_argument("--golden", required=True, help="folder of the golden run")
    parser.add_argument("--out", default=".", help="folder for the record files")
    parser.add_argument("--epoch", type=natural, help="instead of the file's epoch")
    parser.add_argument("--step", type=natural, help="instead of the file's step")
    parser.add_argument(
        "--horizon",
        type=positive,
        help="steps to run; default: to the golden run's end",
    )
    parser.add_argument(
        "--no-fault", action="store_true", help="the zero-fault control"
    )
    options = parser.parse_args(argv)

    # Check the file before anything is loaded or compiled.
    config, _ = GoldenFolder(pathlib.Path(options.golden)).read_manifest()
    injection = read_injection(
        options.file, lambda name: workload(name).sites(config.per_replica)
    )
    result = replay(
        injection,
        options.golden,
        name=pathlib.Path(options.file).stem,
        out=options.out,
        epoch=options.epoch,
        step=options.step,
        horizon=options.horizon,
        with_fault=not options.no_fault,
    )
    print(table({result.paths[0].stem: result}))
    print("records:", *result.paths)
    return 0


if __name__ == "__main__":
    make_deterministic()  # For the whole process, hence not in main.
    run(main)
