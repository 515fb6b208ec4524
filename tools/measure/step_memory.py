# SPDX-License-Identifier: Apache-2.0
"""Prints the peak memory of a process that runs one kind of step a few times.

    python -m measure.step_memory KIND IMAGES

The process is new, for TensorFlow keeps what it once had.
"""

import json
import sys

import numpy as np
import tensorflow as tf
from peers.host_callback import HostCallbackInjector
from peers.mask_delta import MaskDeltaInjector

from measure.memory import peak_bytes
from measure.step_bench import SITE, StepBench
from tpufi.training import make_deterministic

KINDS = ("clean", "armed", "mask_delta", "host_callback")
_PEERS = {"mask_delta": MaskDeltaInjector, "host_callback": HostCallbackInjector}
_STEPS = 2


def main(kind: str, images: str) -> None:
    """Set up, run, print."""
    make_deterministic()
    bench = StepBench(int(images))
    if kind in _PEERS:
        peer = _PEERS[kind](bench.work)
        inputs = peer_inputs(bench)
        step = lambda: peer.step(bench.state, inputs, SITE, *peer_fault())  # noqa: E731
    else:
        program = bench.clean if kind == "clean" else bench.ours
        fault = bench.run_of_words() if kind == "armed" else None
        step = lambda: bench.step(program, fault)  # noqa: E731
    peak = peak_bytes(lambda: [step() for _ in range(_STEPS)])
    print(json.dumps({"peak_bytes": peak}))


def peer_inputs(bench: StepBench) -> tuple[tf.Tensor, ...]:
    """Return the batch of a peer's step."""
    return (
        tf.constant(bench.batch.images[0]),
        tf.constant(bench.batch.labels[0]),
        tf.constant(bench.keys[0]),
        tf.constant(bench.work.learning_rate),
    )


def peer_fault() -> tuple[np.ndarray, np.ndarray]:
    """Return positions and words of a peer's fault."""
    return np.arange(1600, 1616), np.arange(16, dtype=np.uint64)


if __name__ == "__main__":
    main(*sys.argv[1:])
