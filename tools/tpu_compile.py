#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compiles the clean and the armed step for a TPU, without one, and compares them."""

import json
import os
import pathlib
import sys
from collections.abc import Sequence

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # Errors are one line.

from tpufi.campaign.unit_keys import named_unit
from tpufi.cli import Parser, positive, run
from tpufi.detect.catalogue import SETS, named_detectors
from tpufi.faults.broken_unit import kind_text
from tpufi.models import workload
from tpufi.tpu.comparison import UNIT, WATCHED, compare, with_detectors, with_unit
from tpufi.tpu.compiler import environment_for, interpreter, versions
from tpufi.tpu.page import add_result, result_line, result_of
from tpufi.tpu.request import DTYPES, Request, described


def main(argv: Sequence[str] | None) -> int:
    """Compile, compare, print."""
    parser = Parser(description=__doc__)
    parser.add_argument("--model", required=True, help="workload")
    parser.add_argument(
        "--topology",
        default="v5e:2x2",
        help="name that libtpu knows: v4:2x2x1, v6e:2x2",
    )
    parser.add_argument("--dtype", choices=DTYPES, help="element type of the workload")
    parser.add_argument(
        "--per-replica", type=positive, default=128, help="examples of a replica"
    )
    parser.add_argument(
        "--replicas",
        type=positive,
        default=1,
        help="chips that run the step together, at most those of the topology",
    )
    parser.add_argument(
        "--unit", help="a unit to break, such as pe:128x128/output: a third program"
    )
    parser.add_argument(
        "--detectors",
        nargs="+",
        default=(),
        metavar="NAME",
        help=f"a program more for each: a detector, {', '.join(SETS)}",
    )
    parser.add_argument(
        "--save-hlo", type=pathlib.Path, help="folder for the optimised programs"
    )
    parser.add_argument(
        "--page", type=pathlib.Path, help="folder of tpu.md and tpu.json to add to"
    )
    parser.add_argument(
        "--new", action="store_true", help="only what the page does not have yet"
    )
    parser.add_argument("--json", action="store_true", help="JSON on the last line")
    options = parser.parse_args(argv)
    unit = named_unit(options.unit).unit if options.unit else None
    detectors = {name: named_detectors(name) for name in options.detectors}
    request = Request(
        workload(options.model),
        options.topology,
        options.per_replica,
        options.dtype,
        options.replicas,
    )
    environment = environment_for(request.topology)
    interpreter(environment)
    found = None
    if options.new and options.page:
        step = described(request) | {"versions": versions(environment)}
        found = result_of(step, options.page)
        if found and unit and UNIT + kind_text(unit) in found["programs"]:
            unit = None
        for name in [
            n for n in detectors if found and WATCHED + n in found["programs"]
        ]:
            del detectors[name]
        if found and not unit and not detectors:
            print(f"{options.page} has {step}")
            return 0
    how = {"save": options.save_hlo, "report": _say}
    result = found or compare(request, **how)
    if unit:
        result = with_unit(result, request, unit, **how)
    for name, watching in detectors.items():
        result = with_detectors(result, request, name, watching, **how)
        if options.page:
            add_result(result, options.page)
    print(result_line(result))
    if options.page:
        add_result(result, options.page)
    if options.json:
        print(json.dumps(result))
    return 0


def _say(line: str) -> None:
    """Print a line for who waits."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    run(main)
