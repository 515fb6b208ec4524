# SPDX-License-Identifier: Apache-2.0
"""Calls an instrumented model on two mirrored replicas; a process of its own.

Logical devices can only be made before TensorFlow starts, hence not in a test process.
Prints one JSON object for `instrument_graphs_test.py`.
"""

import json
import sys

import tensorflow as tf

import tpufi
from tpufi.instrument import zero
from tpufi.training.strategies import make_strategy


def main() -> None:
    """Inject faults into replica 1, then into both."""
    strategy = make_strategy("mirrored", 2)
    with strategy.scope():
        w = tf.Variable([1.0, 2.0, 3.0])
    fi = tpufi.instrument(lambda x: tf.exp(x * w), replicas=2)
    traces = []

    @tf.function
    def step(x):
        traces.append(None)
        return strategy.run(fi, args=(x,))

    def run() -> list:
        x = tf.constant([0.0, 0.0, 1.0])
        return [
            v.numpy().tolist() for v in strategy.experimental_local_results(step(x))
        ]

    report = {"golden": run(), "faulty": [], "times": []}
    site = [s for s in fi.sites if s.op == "Exp"][0]
    for replica in (1, 0, None):
        with fi.injected(zero(site.id, [2], replica=replica)) as injections:
            report["faulty"].append(run())
        report["times"].append([s.times for s in injections])
    report["after"] = run()
    report["traces"] = len(traces)
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
