#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures training steps with a broken unit against clean ones, in graph mode.

One step each in turns, from one state; ratios are paired, medians with 95 % intervals.
The unit is broken in every step, at every operation.
"""

import json
import os
from collections.abc import Sequence

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # Errors are one line.

import tensorflow as tf
from measure.paired import Spread, interleaved, ratios

from tpufi.cli import Parser, positive, run
from tpufi.golden import GoldenConfig
from tpufi.models import WORKLOADS
from tpufi.training import make_deterministic
from tpufi.units import DATAFLOWS, ProcessingElement, UnitFault, VectorLane

KINDS = {
    f"{dataflow}-stationary, {register}": (dataflow, register)
    for dataflow in DATAFLOWS
    for register in ProcessingElement.registers(dataflow)
}


def main(argv: Sequence[str] | None) -> int:
    """Measure and print a table, or one JSON object on the last line."""
    parser = Parser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="JSON on the last line")
    parser.add_argument("--model", choices=WORKLOADS, default="resnet18")
    parser.add_argument("--data", default="synthetic:4096", help="default %(default)s")
    parser.add_argument("--per-replica", type=positive, default=128)
    parser.add_argument("--array", type=positive, default=128, help="rows and columns")
    parser.add_argument("--rounds", type=positive, default=7, help=">= 2, default 7")
    parser.add_argument("--only", default="", help="kinds that contain this")
    options = parser.parse_args(argv)
    config = GoldenConfig(
        options.model, options.data, replicas=1, per_replica=options.per_replica
    )
    session = config.session()
    begin = session.initial_state()
    units = {
        name: ProcessingElement(options.array, options.array, *kind, 1, 2)
        for name, kind in KINDS.items()
    }
    units["vector lane"] = VectorLane(5, 1)
    faults = {
        name: UnitFault.flipped(unit, 20)
        for name, unit in units.items()
        if options.only in name
    }
    result = {"model": options.model, "images": options.per_replica}
    result |= {"cores": len(os.sched_getaffinity(0)), "tensorflow": tf.__version__}
    for name, fault in faults.items():
        variants = {
            "clean": lambda: session.step(begin, 0).loss,
            "faulty": lambda fault=fault: session.step(begin, 0, fault).loss,
        }
        for work in variants.values():
            work()
        seconds = interleaved(variants, max(options.rounds, 2))
        ratio = ratios(seconds["faulty"], seconds["clean"])
        clean = Spread.of(seconds["clean"])
        result[name] = {"clean_s": clean.median, "ratio": ratio.median}
        print(f"{name}: {ratio} of a clean step, {clean} s", flush=True)
    if options.json:
        print(json.dumps(result))
    return 0


if __name__ == "__main__":
    make_deterministic()  # For the whole process, hence not in main.
    run(main)
