#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures what an injection costs, against a clean step and other ways to inject.

Real training steps of one replica in graph mode. All ways run the same layers on the
same batch, interleaved; ratios are paired, medians with quartiles.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Sequence

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # Errors are one line.

import numpy as np
import tensorflow as tf
from measure.memory import peak_bytes
from measure.paired import Spread, differences, interleaved, ratios
from peers.host_callback import HostCallbackInjector
from peers.mask_delta import MaskDeltaInjector

from tpufi.cli import Parser, positive, run
from tpufi.data.batches import Batch
from tpufi.descriptor import Descriptor, disarmed, fault_row
from tpufi.faults.fault_catalogue import NAMES, any_fault_model
from tpufi.models import workload
from tpufi.sampling.sampler import Sampler
from tpufi.sampling.sampling_plan import SamplingPlan, equally
from tpufi.sampling.site_space import SiteSpace
from tpufi.training import Program, State, initial_state, make_deterministic
from tpufi.workload import Workload

SITE = "basicblock_2_basic_0_conv2/forward/output"
BACKWARD_SITE = "basicblock_2_basic_0_conv2/grad_in/output"
TEXTBOOK_SITE = "basicblock_2_basic_0_conv2/grad_in/input"
MANY = 100  # Injections of one program whose traces are counted.


def main(argv: Sequence[str] | None) -> int:
    """Measure and print a table, or one JSON object on the last line."""
    parser = Parser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="JSON on the last line")
    parser.add_argument("--quick", action="store_true", help="smaller, under 2 minutes")
    parser.add_argument("--per-replica", type=positive, help="images in a step")
    parser.add_argument("--rounds", type=positive, help="rounds of each variant, >= 2")
    options = parser.parse_args(argv)
    sys.stdout.reconfigure(line_buffering=True)
    begun = time.monotonic()
    images = options.per_replica or (32 if options.quick else 128)
    rounds = max(options.rounds or (5 if options.quick else 15), 2)
    peer_rounds = 2 if options.quick else 3
    bench = Bench(workload("resnet18"), images)

    result = {"workload": "resnet18", "images": images, "rounds": rounds}
    result |= {"cores": len(os.sched_getaffinity(0)), "tensorflow": tf.__version__}
    result["steps"] = bench.steps(rounds)
    result["peers"] = bench.peers(peer_rounds)
    result["campaign"] = bench.many_injections()
    extra = result["peers"]["mask_delta"]["extra_seconds"]["median"]
    # Against the upper quartile of ours, for its median may be nothing but noise.
    ours = max(s["extra_seconds"]["high"] for s in result["steps"].values())
    result["peer_extra_over_ours"] = extra / max(ours, 1e-6)
    result["seconds"] = round(time.monotonic() - begun)
    _print(result)
    if options.json:
        print(json.dumps(result))
    return 0


class Bench:
    """One workload, state and batch, and the programs that are compared."""

    def __init__(self, work: Workload, images: int):
        rng = np.random.default_rng(1)
        shape = (1, images)
        self.work = work
        self.batch = Batch(
            rng.normal(size=(*shape, *work.input_shape)).astype(np.float32),
            rng.integers(0, work.classes, shape).astype(np.int32),
            np.ones(shape, bool),
        )
        self.keys = rng.integers(0, 1 << 32, (1, 2), dtype=np.uint32)
        self.state = initial_state(work, 1)
        self.ours = Program(work, 1, images)

    def step(self, program: Program, fault: Descriptor | None = None) -> State:
        """Run one step to its end."""
        rate = self.work.learning_rate
        return program.step(self.state, self.batch, self.keys, rate, fault).state

    def steps(self, rounds: int) -> dict:
        """Time clean, disarmed and armed steps."""
        clean = Program(self.work, 1, self.ours.per_replica, with_sites=False)
        variants: dict[str, Callable[[], object]] = {
            "clean": lambda: self.step(clean),
            "disarmed": lambda: self.step(self.ours, disarmed()),
        }
        for name, fault in self.faults().items():
            variants[name] = lambda fault=fault: self.step(self.ours, fault)
        for variant in variants.values():
            variant()  # Traces, and fills caches.
        seconds = interleaved(variants, rounds)
        memory = {name: peak_bytes(variant) for name, variant in variants.items()}
        return {
            name: {
                "seconds": vars(Spread.of(times)),
                "ratio_to_clean": vars(ratios(times, seconds["clean"])),
                "extra_seconds": vars(differences(times, seconds["clean"])),
                "peak_bytes": memory[name],
            }
            for name, times in seconds.items()
        }

    def faults(self) -> dict[str, Descriptor]:
        """Return a fault of each value rule, and one in a textbook operand."""

        def at(site: str, **how) -> Descriptor:
            row = {"replica": 0, "start": 1600, "count": 64, **how}
            return fault_row(site=self.ours.table.id_of(site), **row)

        words = list(range(64))
        return {
            "armed words": at(SITE, rule="words", words=words),
            "armed repeat": at(SITE, rule="repeat", keep=-1, words=[1 << 30]),
            "armed random": at(SITE, rule="random", count=16000, words=[7]),
            "armed copy": at(SITE, rule="copy", words=words),
            "armed copy_random": at(SITE, rule="copy_random", count=16000, words=[7]),
            "armed error_rate": at(
                SITE, rule="error_rate", keep=(1 << 32) - 1, words=[7, 4295]
            ),
            "armed add": at(SITE, rule="add", words=[0x3F800000] * 64),
            "armed multiply": at(SITE, rule="multiply", words=[0x40000000] * 64),
            "armed backward": at(BACKWARD_SITE, rule="words", words=words),
            "armed textbook": at(TEXTBOOK_SITE, rule="words", words=words),
        }

    def peers(self, rounds: int) -> dict:
        """Time the other ways; each injection of the first needs a new trace."""
        inputs = (
            tf.constant(self.batch.images[0]),
            tf.constant(self.batch.labels[0]),
            tf.constant(self.keys[0]),
            tf.constant(self.work.learning_rate),
        )
        clean = Program(self.work, 1, self.ours.per_replica, with_sites=False)
        self.step(clean)
        positions, words = np.arange(1600, 1616), np.arange(16, dtype=np.uint64)
        found = {}
        for name, peer, warm in (
            ("mask_delta", MaskDeltaInjector(self.work), (SITE, positions, words)),
            (
                "host_callback",
                HostCallbackInjector(self.work),
                (SITE, positions, words),
            ),
        ):
            peer.step(self.state, inputs, *warm)  # Its caches are warm, too.
            traces, sent = peer.traces, peer.host_bytes
            variants = {
                "clean": lambda: self.step(clean),
                "peer": lambda peer=peer, warm=warm: peer.step(
                    self.state, inputs, *warm
                ),
            }
            seconds = interleaved(variants, rounds)
            found[name] = {
                "seconds": vars(Spread.of(seconds["peer"])),
                "extra_seconds": vars(differences(seconds["peer"], seconds["clean"])),
                "traces_per_injection": (peer.traces - traces) / rounds,
                "host_bytes_per_injection": (peer.host_bytes - sent) // rounds,
                "peak_bytes": peak_bytes(variants["peer"]),
            }
        return found

    def many_injections(self) -> dict:
        """Count traces and bytes of many faults over all sites and models."""
        images = 2
        small = Bench(self.work, images)
        space = SiteSpace.of(self.work, images)
        models = equally([any_fault_model(n) for n in NAMES if n != "STALE"])
        plan = SamplingPlan(models, site_weights="sites", replicas=(0,))
        sampler, crossed = Sampler(space, plan), 0
        sites = set()
        for number in range(MANY):
            fault = sampler.draw(1, number)
            row = fault.descriptor(small.ours.table)
            rate = self.work.learning_rate
            result = small.ours.step(small.state, small.batch, small.keys, rate, row)
            crossed += row.faults.nbytes + row.words.nbytes + result.record.nbytes
            sites.add(fault.site)
        return {
            "injections": MANY,
            "sites": len(sites),
            "traces": small.ours.traces,
            "host_bytes_per_injection": crossed // MANY,
        }


def _print(result: dict) -> None:
    print(f"resnet18, {result['images']} images, {result['cores']} cores, graph mode")
    print(
        f"{'step':22} {'seconds':>9} {'against clean (quartiles)':>30} {'peak MB':>8}"
    )
    for name, row in result["steps"].items():
        ratio = Spread(**row["ratio_to_clean"])
        peak = row["peak_bytes"] / 1e6
        print(f"{name:22} {row['seconds']['median']:9.4f} {ratio!s:>30} {peak:8.0f}")
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
        f"{many['traces']}, {many['host_bytes_per_injection']:,} bytes each"
    )
    print(
        f"extra time, mask and delta over ours: {result['peer_extra_over_ours']:.0f}x"
    )
    print(f"took {result['seconds']} s")


if __name__ == "__main__":
    make_deterministic()  # For the whole process, hence not in main.
    run(main)
