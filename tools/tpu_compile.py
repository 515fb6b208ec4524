#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compiles training steps for a TPU, without one, and compares what they cost."""

import dataclasses
import json
import math
import os
import pathlib
import sys
from collections.abc import Sequence

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # Errors are one line.

from tpufi.cli import Parser, above_0, natural, positive, run
from tpufi.errors import InputError
from tpufi.models import workload
from tpufi.tpu.comparison import compare
from tpufi.tpu.compiler import interpreter, versions
from tpufi.tpu.page import add_result, first_sites, has_result, result_line
from tpufi.tpu.request import DTYPES, Request, described
from tpufi.training.grouped import GROUPED
from tpufi.training.program import LOWERINGS

_RESULTS = pathlib.Path(__file__).resolve().parents[1] / "docs" / "results"


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
        "--lowering", choices=LOWERINGS, default=GROUPED, help="how sites are compiled"
    )
    parser.add_argument(
        "--groups",
        type=_groups,
        help="branches of lowering grouped that have sites, 2 or more, or the first "
        "site of each, as 0,40,95; else those of this step in docs/results, else as "
        "many as a struck step 2 %% dearer takes",
    )
    parser.add_argument(
        "--apart",
        type=pathlib.Path,
        help="compile each branch as a program of its own and keep its figures in this "
        "folder; a run that was stopped goes on",
    )
    parser.add_argument(
        "--at-most",
        type=above_0,
        metavar="RATIO",
        default=math.inf,
        help="with --apart: cut a branch that is dearer in two, until none is",
    )
    parser.add_argument(
        "--estimates-only",
        action="store_true",
        help="without passes that only improve the code, as --apart: half the time",
    )
    parser.add_argument(
        "--by-group", action="store_true", help="also one program per kind of site"
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
    if options.apart and options.lowering != GROUPED:
        raise InputError(
            f"--apart {options.apart} with --lowering {options.lowering}: only "
            f"{GROUPED} has branches; leave one of them out"
        )
    if options.at_most < math.inf and not options.apart:
        raise InputError(
            f"--at-most {options.at_most} cuts branches that are compiled one by one; "
            "give --apart and a folder for their figures"
        )
    request = Request(
        workload(options.model),
        options.topology,
        options.per_replica,
        options.lowering,
        options.dtype,
        options.replicas,
        options.groups,
        options.apart,
        options.at_most,
        options.estimates_only,
    )
    interpreter()
    if options.new and options.page:
        step = described(request) | {"versions": versions()}
        if has_result(step, options.page):
            print(f"{options.page} has {step}")
            return 0
    result = compare(
        _with_known_groups(request),
        by_group=options.by_group,
        save=options.save_hlo,
        report=_say,
    )
    print(result_line(result))
    if options.page:
        add_result(result, options.page)
    if options.json:
        print(json.dumps(result))
    return 0


def _with_known_groups(request: Request) -> Request:
    """Return the request with the groups that docs/results has, if it names none."""
    if request.lowering != GROUPED or request.groups is not None:
        return request
    sites = len(request.typed_workload.sites(request.per_replica))
    known = first_sites(described(request), sites, _RESULTS)
    if known:
        _say(f"{request.workload.name}: the {len(known)} groups of {_RESULTS}")
    return dataclasses.replace(request, groups=known)


def _say(line: str) -> None:
    """Print a line for who waits."""
    print(line, file=sys.stderr, flush=True)


def _groups(text: str) -> int | list[int]:
    """Return how many groups there are, or the first site of each."""
    if "," in text:
        return [natural(number) for number in text.split(",")]
    return positive(text)


if __name__ == "__main__":
    run(main)
