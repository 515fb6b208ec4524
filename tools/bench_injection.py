#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures what an injection costs, against a clean step and other ways to inject.

Real training steps of one replica of ResNet-18, in graph mode and compiled by XLA. All
ways run the same layers on the same batch, interleaved; ratios are paired, medians with
their intervals of 95 % confidence.
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
from measure.paired import Spread, differences, interleaved, ratios
from measure.step_bench import SITE, StepBench
from measure.step_memory import KINDS, peer_fault, peer_inputs
from measure.xla_steps import xla_steps
from peers.host_callback import HostCallbackInjector
from peers.mask_delta import MaskDeltaInjector

from tpufi.cli import Parser, positive, run
from tpufi.descriptor import disarmed
from tpufi.faults.fault_catalogue import NAMES, any_fault_model
from tpufi.sampling.sampler import Sampler
from tpufi.sampling.sampling_plan import SamplingPlan, equally
from tpufi.sampling.site_space import SiteSpace
from tpufi.training import make_deterministic

MANY = 100  # Injections of one program whose traces are counted.


def main(argv: Sequence[str] | None) -> int:
    """Measure and print a table, or one JSON object on the last line."""
    parser = Parser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="JSON on the last line")
    parser.add_argument(
        "--quick", action="store_true", help="under 2 minutes: no XLA, no memory"
    )
    parser.add_argument("--per-replica", type=positive, help="images in a step")
    parser.add_argument("--rounds", type=positive, help="rounds of each variant, >= 2")
    options = parser.parse_args(argv)
    sys.stdout.reconfigure(line_buffering=True)
    begun = time.monotonic()
    images = options.per_replica or (32 if options.quick else 128)
    rounds = max(options.rounds or (15 if options.quick else 60), 2)
    bench = StepBench(images)

    result = {"workload": bench.work.name, "images": images, "rounds": rounds}
    result |= {"cores": len(os.sched_getaffinity(0)), "tensorflow": tf.__version__}
    result["steps"] = _steps(bench, rounds)
    _print_steps(f"resnet18, {images} images, graph mode", result["steps"])
    result["peers"] = _peers(bench, 2 if options.quick else 3)
    result["campaign"] = _many_injections()
    result["peer_extra_over_ours"] = _peer_over_ours(result)
    _print_others(result)
    if not options.quick:
        result["peak_bytes"] = _peaks(KINDS, images)
        result["xla"] = _compiled(rounds=10)
    result["seconds"] = round(time.monotonic() - begun)
    print(f"took {result['seconds']} s")
    if options.json:
        print(json.dumps(result))
    return 0


def _steps(bench: StepBench, rounds: int) -> dict:
    """Time clean, disarmed and armed steps; the first three in more rounds.

    Each of the armed ones strikes another site, drawn from all with the same chance.
    """
    anywhere = iter([bench.words(), *bench.words_anywhere(rounds)])
    variants = {
        "clean": lambda: bench.step(bench.clean),
        "disarmed": lambda: bench.step(bench.ours, disarmed()),
        "armed words": lambda: bench.step(bench.ours, next(anywhere)),
    }
    others = {
        name: lambda fault=fault: bench.step(bench.ours, fault)
        for name, fault in bench.other_faults().items()
    }
    for variant in (variants | others).values():
        variant()  # Traces, and fills caches.
    found = _against_clean(interleaved(variants, rounds))
    some = {"clean": variants["clean"], **others}
    times = interleaved(some, max(rounds // 8, 2))
    return found | {n: v for n, v in _against_clean(times).items() if n != "clean"}


def _against_clean(seconds: dict[str, list[float]]) -> dict:
    return {
        name: {
            "seconds": vars(Spread.of(times)),
            "ratio_to_clean": vars(ratios(times, seconds["clean"])),
            "extra_seconds": vars(differences(times, seconds["clean"])),
        }
        for name, times in seconds.items()
    }


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
        found[name] = _against_clean(interleaved(variants, rounds))[name] | {
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
    for fault in faults:
        bench.step(bench.ours, fault.descriptor(bench.ours.table))
    return {
        "injections": MANY,
        "sites": len({fault.site for fault in faults}),
        "traces": bench.ours.traces,
        "host_bytes_per_injection": counted.fault_bytes // MANY,
        "most_host_bytes": counted.most,
    }


def _peer_over_ours(result: dict) -> dict:
    """Return how many times as much longer than a clean step a peer's injection takes.

    `at_least` takes the upper end of the interval of our extra time, for the median
    may be nothing but noise; it may even be negative, and then there is no ratio.
    """
    peer = result["peers"]["mask_delta"]["extra_seconds"]["median"]
    ours = result["steps"]["armed words"]["extra_seconds"]
    return {
        "ratio": peer / ours["median"] if ours["median"] > 0 else None,
        "at_least": peer / ours["most"] if ours["most"] > 0 else None,
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
    found["steps"] = _against_clean(found.pop("seconds"))
    _print_steps(f"compiled by XLA, {found['images']} image", found["steps"])
    print(
        f"{found['injections']} injections at as many sites, traces: "
        f"{found['traces']}, compilations: {sorted(found['compilations'].values())} "
        "(clean program, program with sites)"
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
    over = {k: "no" if v is None else f"{v:.0f}x" for k, v in
            result["peer_extra_over_ours"].items()}  # fmt: skip
    print(
        f"extra time, mask and delta over ours: {over['ratio']}, at least "
        f"{over['at_least']}"
    )


def _print_steps(title: str, steps: dict) -> None:
    print(f"{title}\n{'step':18} {'seconds':>9} {'against clean (95 %)':>30}")
    for name, row in steps.items():
        ratio = Spread(**row["ratio_to_clean"])
        print(f"{name:18} {row['seconds']['median']:9.4f} {ratio!s:>30}")


if __name__ == "__main__":
    make_deterministic()  # For the whole process, hence not in main.
    run(main)
