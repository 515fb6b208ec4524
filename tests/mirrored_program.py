# SPDX-License-Identifier: Apache-2.0
"""Runs the tiny workload under MirroredStrategy; a process of its own.

Logical devices can only be made before TensorFlow starts, hence not in a test process.
Prints one JSON object for `distributed_test.py`.
"""

import dataclasses
import json
import sys

import numpy as np
import tensorflow as tf

from tests.tiny_workload import TINY, tiny_batch
from tpufi.descriptor import read_record, replacing
from tpufi.optimizers import SGD
from tpufi.training import Program, initial_state
from tpufi.training.distributed import DistributedProgram
from tpufi.training.state import to_arrays
from tpufi.training.strategies import make_strategy

REPLICAS, PER_REPLICA, STEPS = 8, 2, 3


def largest_difference(a, b) -> float:
    """Largest difference of two states, relative to the largest weight of a tensor."""
    x, y = to_arrays(a), to_arrays(b)
    return max(
        float(np.max(np.abs(x[n] - y[n])) / (np.max(np.abs(x[n])) + 1e-6)) for n in x
    )


def main() -> None:
    """Run the same steps both ways, the last with a fault in replica 5."""
    strategy = make_strategy("mirrored", REPLICAS)
    # Adam would blow up rounding: a bias before a batch norm has a gradient of zero but
    # for rounding, and Adam divides it by its own size.
    workload = dataclasses.replace(TINY, optimizer=SGD())
    mirrored = DistributedProgram(workload, strategy, PER_REPLICA)
    virtual = Program(workload, REPLICAS, PER_REPLICA)
    state = other = initial_state(workload, 7)
    site = virtual.table.id_of("block_conv1/grad_wt/output")
    word = np.array([1e3], np.float32).view(np.uint32)
    fault = replacing(site, 5, np.array([17]), word.astype(np.uint64))
    report = {"steps": [], "replicas": mirrored.replicas}
    for step in range(STEPS):
        batch, keys = tiny_batch(REPLICAS, PER_REPLICA, step)
        armed = fault if step == STEPS - 1 else None
        a = virtual.step(state, batch, keys, 0.001, armed)
        b = mirrored.step(other, batch, keys, 0.001, armed)
        state, other = a.state, b.state
        report["steps"].append(
            {
                "virtual": a.loss,
                "mirrored": b.loss,
                "accuracy": [a.accuracy, b.accuracy],
                "difference": largest_difference(a.state, b.state),
                "struck": [read_record(r.record)[0].count for r in (a, b)],
            }
        )
    copies = [
        {v.numpy().tobytes() for v in strategy.experimental_local_results(variable)}
        for variable in tf.nest.flatten(mirrored.variables)
    ]
    report["copies_equal"] = all(len(c) == 1 for c in copies)
    report["traces"] = [virtual.traces, mirrored.traces]
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
