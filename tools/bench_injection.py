#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures what an injection costs, against a clean step and other ways to inject.

Real training steps of one replica of ResNet-18, in graph mode and compiled by XLA. All
ways run on the same batch, interleaved; ratios are paired, medians with their intervals
of 95 % confidence.
"""

import json
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # Errors are one line.

import tensorflow as tf
from measure.boundary import CountedStep
from measure.child import run_child
from measure.experiment_cost import experiment_cost
from measure.goals import goals
from measure.paired import Spread, against, interleaved
from measure.step_bench import SITE, StepBench
from measure.step_memory import KINDS, peer_fault, peer_inputs
from measure.xla_steps import xla_steps
from peers.host_callback import HostCallbackInjector
from peers.keras_step import KerasStep
from peers.mask_delta import MaskDeltaInjector

from tpufi.cli import Parser, positive, run
from tpufi.descriptor import disarmed
from tpufi.faults.catalogue import NAMES, any_fault_model
from tpufi.faults.plan import SamplingPlan, SiteSpace, equally
from tpufi.faults.sampler import Sampler
from tpufi.training import make_deterministic

MANY = 100  # Injections of one program whose traces are counted.
EXPERIMENT = 8  # Steps.


def main(argv: Sequence[str] | None) -> int:
    """Measure and print a table, or one JSON object on the last line."""
    parser = Parser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="JSON on the last line")
    parser.add_argument(
        "--quick", action="store_true", help="about 3 minutes: no XLA, no memory"
    )
    parser.add_argument("--per-replica", type=positive, help="images in a step")
    parser.add_argument("--rounds", type=positive, help="rounds of each variant, >= 2")
    options = parser.parse_args(argv)
    sys.stdout.reconfigure(line_buffering=True)
    begun = time.monotonic()
    images = options.per_replica or (32 if options.quick else 128)
    rounds = max(options.rounds or (15 if options.quick else 50), 2)
    bench = StepBench(images)

    result = {"workload": bench.work.name, "images": images, "rounds": rounds}
    result |= {"cores": len(os.sched_getaffinity(0)), "tensorflow": tf.__version__}
    result["steps"] = _steps(bench, rounds)
    _print_steps(f"resnet18, {images} images, graph mode", result["steps"], "clean")
    result["keras"] = _keras(bench, max(rounds // 2, 2))
    _print_steps("the same model in Keras", result["keras"], "clean")
    result["experiment"] = _experiment(bench, max(rounds // 8, 2))
    _print_steps(
        f"an experiment of {EXPERIMENT} steps", result["experiment"]["ways"], "steps"
    )
    result["peers"] = _peers(bench, 2 if options.quick else 3)
    result["campaign"] = _many_injections()
    _print_others(result)
    if not options.quick:
        result["peak_bytes"] = _peaks(KINDS, images)
        result["xla"] = _compiled(rounds=10)
    result["goals"] = goals(result)
    for name, row in result["goals"].items():
        goal = f"{row['bound']} {row['goal']}: {'met' if row['met'] else 'missed'}"
        print(f"{name:22} {_figure(row['value']):>9}  {goal}")
    result["seconds"] = round(time.monotonic() - begun)
    print(f"took {result['seconds']} s")
    if options.json:
        print(json.dumps(result))
    return 0


def _steps(bench: StepBench, rounds: int) -> dict:
    """Time steps without a fault and armed ones; the first four in more rounds.

    Each of the armed ones has a fault at another site, drawn from all with the same
    chance.
    """
    anywhere = iter([bench.run_of_words(), *bench.anywhere(rounds)])
    bench.step(bench.ours, disarmed())  # What "no fault" has traced, and clean not.
    variants = {
        "clean": lambda: bench.step(bench.clean),
        "no fault": lambda: bench.step(bench.ours),
        "disarmed": lambda: bench.step(bench.ours, disarmed()),
        "armed": lambda: bench.step(bench.ours, next(anywhere)),
    }
    others = {
        name: lambda fault=fault: bench.step(bench.ours, fault)
        for name, fault in bench.other_faults().items()
    }
    for variant in (variants | others).values():
        variant()  # Traces, and fills caches.
    found = against(interleaved(variants, rounds), "clean")
    some = {"clean": variants["clean"], **others}
    times = against(interleaved(some, max(rounds // 10, 2)), "clean")
    return found | {name: row for name, row in times.items() if name != "clean"}


def _keras(bench: StepBench, rounds: int) -> dict:
    """Time the clean step and the step that a user writes in Keras."""
    peer = KerasStep(bench.batch.images[0], bench.batch.labels[0])
    variants = {
        "clean": lambda: bench.step(bench.clean),
        "keras tape": peer.tape,
        "keras train_on_batch": peer.train_on_batch,
    }
    for variant in variants.values():
        variant()
    return against(interleaved(variants, rounds), "clean")


def _experiment(bench: StepBench, rounds: int) -> dict:
    found = experiment_cost(bench, EXPERIMENT, rounds)
    return found | {"ways": against(found.pop("seconds"), "steps")}


def _peers(bench: StepBench, rounds: int) -> dict:
    """Time the other ways; each injection of the first needs a new trace."""
    inputs = peer_inputs(bench)
    found = {}
    for name, peer in (
        ("mask_delta", MaskDeltaInjector(bench.work)),
        ("host_callback", HostCallbackInjector(bench.work)),
    ):

        def step(peer=peer) -> object:
            return peer.step(bench.state, inputs, SITE, *peer_fault())

        step()  # Its caches are warm, too.
        traces, sent = peer.traces, peer.host_bytes
        variants = {"clean": lambda: bench.step(bench.clean), name: step}
        found[name] = against(interleaved(variants, rounds), "clean")[name] | {
            "traces_per_injection": (peer.traces - traces) / rounds,
            "host_bytes_per_injection": (peer.host_bytes - sent) // rounds,
        }
    return found


def _many_injections() -> dict:
    """Count traces and bytes of faults of all models at random sites."""
    bench = StepBench(images=2)
    counted = CountedStep(bench.ours)
    space = SiteSpace.of(bench.work, bench.images)
    models = equally([any_fault_model(n) for n in NAMES if n != "STALE"])
    plan = SamplingPlan(models, site_weights="sites", replicas=(0,))
    sampler = Sampler(space, plan)
    faults = [sampler.draw(1, number) for number in range(MANY)]
    bench.step(bench.ours)  # The clean program's trace counts, too.
    for fault in faults:
        bench.step(bench.ours, fault.descriptor(bench.ours.table))
    return {
        "injections": MANY,
        "sites": len({fault.site for fault in faults}),
        "traces": bench.ours.traces,
        "host_bytes_per_injection": counted.fault_bytes // MANY,
        "most_host_bytes": counted.most,
    }


def _peaks(kinds: Sequence[str], images: int) -> dict[str, int]:
    """Measure processes, two at once: nothing is timed, and each has its own memory."""

    def peak(kind: str) -> int:
        return run_child("measure.step_memory", kind, images)[0]["peak_bytes"]

    with ThreadPoolExecutor(2) as pool:
        peaks = dict(zip(kinds, pool.map(peak, kinds), strict=True))
    for kind, peak in peaks.items():
        print(f"peak memory, {kind}: {peak / 1e6:,.0f} MB")
    return peaks


def _compiled(rounds: int) -> dict:
    found = xla_steps(1, rounds, MANY)
    found["steps"] = against(found.pop("seconds"), "clean")
    _print_steps(f"compiled by XLA, {found['images']} image", found["steps"], "clean")
    print(
        f"{found['injections']} injections at as many sites, traces: "
        f"{found['traces']}, compilations: {sorted(found['compilations'].values())}"
    )
    return found


def _print_others(result: dict) -> None:
    for name, row in result["peers"].items():
        print(
            f"{name}: {row['seconds']['median']:.2f} s an injection, "
            f"{row['extra_seconds']['median']:.2f} s more than a clean step, "
            f"{row['traces_per_injection']:g} traces, "
            f"{row['host_bytes_per_injection']:,} bytes to and from the host"
        )
    many = result["campaign"]
    print(
        f"tpufi: {many['injections']} injections at {many['sites']} sites, traces: "
        f"{many['traces']}, {many['host_bytes_per_injection']:,} bytes each, at most "
        f"{many['most_host_bytes']:,}"
    )


def _print_steps(title: str, steps: dict, base: str) -> None:
    print(f"{title}\n{'':20} {'seconds':>9} {f'against {base} (95 %)':>30}")
    for name, row in steps.items():
        ratio = Spread(**row[f"ratio_to_{base}"])
        print(f"{name:20} {row['seconds']['median']:9.4f} {ratio!s:>30}")


def _figure(value: float | None) -> str:
    return "noise" if value is None else f"{value:.4g}"


if __name__ == "__main__":
    make_deterministic()  # For the whole process, hence not in main.
    run(main)
