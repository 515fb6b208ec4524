# SPDX-License-Identifier: Apache-2.0
"""Times compiled steps and injects faults into many sites with one compiled program.

    python -m measure.xla_steps IMAGES ROUNDS INJECTIONS

TensorFlow logs each compilation where TF_CPP_VMODULE asks for it; `compilations` counts
them in the log of such a process.
"""

import json
import re
import sys

from measure.child import run_child
from measure.paired import interleaved
from measure.step_bench import StepBench
from tpufi.training import make_deterministic

_LOG = {
    "TF_CPP_MIN_LOG_LEVEL": "0",
    "TF_CPP_VMODULE": "device_compilation_profiler=1",
}
_COMPILED = re.compile(r"Compiled (\S*(?:clean|armed)_step\S*) (\d+) times")


def xla_steps(images: int, rounds: int, injections: int) -> dict:
    """Return seconds of each kind of step, traces and compilations.

    Args:
      images: images in a step, >= 1.
      rounds: of each kind of step, >= 2.
      injections: faults of the one program, each at another site.
    """
    found, log = run_child("measure.xla_steps", images, rounds, injections, **_LOG)
    return found | {"compilations": compilations(log)}


def compilations(log: str) -> dict[str, int]:
    """Return how often each step was compiled, by its name in the log."""
    return {name: int(times) for name, times in _COMPILED.findall(log)}


def main(images: str, rounds: str, injections: str) -> None:
    """Measure and print."""
    make_deterministic()
    bench = StepBench(int(images), compiled=True)
    variants = {
        "clean": lambda: bench.step(bench.ours),
        "armed": lambda: bench.step(bench.ours, bench.run_of_words()),
    }
    for variant in variants.values():
        variant()
    seconds = interleaved(variants, int(rounds))
    faults = list(bench.anywhere(int(injections)))
    for fault in faults:
        bench.step(bench.ours, fault)
    print(
        json.dumps(
            {
                "images": bench.images,
                "seconds": seconds,
                "injections": len(faults),
                "traces": bench.ours.traces,
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
