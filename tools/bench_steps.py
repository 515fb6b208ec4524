#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures steps that wait for the host against blocks of steps that do not.

The same training steps without a fault: one call each, one call each with the digest of
every state (as a golden run records it), and in blocks with one digest at the end (as
an experiment is followed). In turns; ratios are paired, medians with 95 % intervals.
"""

import json
import os
import sys
from collections.abc import Sequence

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # Errors are one line.

import tensorflow as tf
from measure.paired import Spread, interleaved, ratios

from tpufi.cli import Parser, positive, run
from tpufi.golden import GoldenConfig
from tpufi.models import WORKLOADS
from tpufi.training import make_deterministic, state_digest
from tpufi.training.blocks import Blocks


def main(argv: Sequence[str] | None) -> int:
    """Measure and print a table, or one JSON object on the last line."""
    parser = Parser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="JSON on the last line")
    parser.add_argument("--model", choices=WORKLOADS, default="resnet18")
    parser.add_argument("--data", default="synthetic:4096", help="default %(default)s")
    parser.add_argument("--per-replica", type=positive, default=32, help="default 32")
    parser.add_argument("--block", type=positive, default=8, help="steps, default 8")
    parser.add_argument("--rounds", type=positive, default=7, help=">= 2, default 7")
    options = parser.parse_args(argv)
    config = GoldenConfig(
        options.model, options.data, replicas=1, per_replica=options.per_replica
    )
    session, count = config.session(), options.block
    blocks, begin = Blocks(session, count), session.initial_state()

    def single(with_digest: bool) -> str:
        state = begin
        for number in range(count):
            state = session.step(state, number).state
            if with_digest or number == count - 1:
                digest = state_digest(state)
        return digest

    variants = {
        "single steps": lambda: single(False),
        "single steps, digest of each": lambda: single(True),
        "one block": lambda: state_digest(blocks.run(begin, 0, count).state),
    }
    digests = {name: work() for name, work in variants.items()}
    if len(set(digests.values())) > 1:
        print(f"the ways do not agree bitwise: {digests}", file=sys.stderr)
        return 1
    seconds = interleaved(variants, max(options.rounds, 2))
    result = {"model": options.model, "images": options.per_replica, "block": count}
    result |= {"cores": len(os.sched_getaffinity(0)), "tensorflow": tf.__version__}
    for name, taken in seconds.items():
        each = Spread.of([s / count for s in taken])
        ratio = ratios(taken, seconds["one block"])
        result[name] = {"step_s": each.median, "ratio": ratio.median}
        print(f"{name}: {each} s a step, {ratio} of one block")
    if options.json:
        print(json.dumps(result))
    return 0


if __name__ == "__main__":
    make_deterministic()  # For the whole process, hence not in main.
    run(main)
