# SPDX-License-Identifier: Apache-2.0
"""Runs the tiny workload under MirroredStrategy; a process of its own.

Logical devices can only be made before TensorFlow starts, hence not in a test process.
Prints one JSON object for `distributed_test.py`.
"""

import dataclasses
import json
import math
import sys

import numpy as np
import tensorflow as tf

from tests.mirrored_replicas import Replicas
from tests.tiny_workload import TINY, tiny_batch
from tpufi.descriptor import read_record, replacing
from tpufi.layers import Dense, GlobalAveragePooling, Sequence
from tpufi.models.resnet18 import convolution
from tpufi.optimizers import SGD
from tpufi.training import Program, initial_state
from tpufi.training.distributed import DistributedProgram
from tpufi.training.program import StepResult
from tpufi.training.state import State
from tpufi.training.step_values import ReplicaResult
from tpufi.training.strategies import make_strategy
from tpufi.units import Link, UnitFault

REPLICAS, PER_REPLICA, STEPS = 8, 2, 3
RATE, FAULTY = np.float32(0.001), 1e3
# Half the distance of two float32 numbers; what is below the smallest becomes zero.
UNIT, TINIEST = 2.0**-24, float(np.finfo(np.float32).tiny)


def rounding(n: int) -> float:
    """Bound the relative effect of n roundings one after the other.

    Source: N. J. Higham, Accuracy and Stability of Numerical Algorithms, lemma 3.1.
    """
    return n * UNIT / (1 - n * UNIT)


def exactly(terms: np.ndarray) -> np.ndarray:
    """Add float64 terms along the first axis, rounding once, to 2**-53."""
    flat = terms.reshape(len(terms), -1)
    return np.array([math.fsum(column) for column in flat.T]).reshape(terms.shape[1:])


def share_of_bound(before: State, after: StepResult, replicas: ReplicaResult) -> float:
    """Return the largest error of a step as a part of what rounding can do; at most 1.

    However n replicas' terms are added, each goes through n - 1 additions at most, so
    that the sum is within rounding(n - 1) times the sum of absolute values. A gradient
    is multiplied by the rate, one rounding more, and the subtraction from the weight
    rounds to UNIT of its result. A mean over 8 replicas divides exactly.
    """
    worst = 0.0

    def compare(actual, terms: np.ndarray, bound: np.ndarray) -> None:
        nonlocal worst
        want = exactly(terms)
        bound = bound + 2.0**-53 * np.abs(want) + (REPLICAS + 1) * TINIEST
        error = np.abs(np.asarray(actual, np.float64) - want)
        worst = max(worst, float((error / bound).max()))

    for name, gradients in replicas.gradients.items():
        weight = before.parameters[name].numpy().astype(np.float64)
        # Products of two float32 numbers are exact in float64.
        changes = np.float64(RATE) * gradients.astype(np.float64)
        actual = after.state.parameters[name].numpy()
        bound = rounding(REPLICAS) * np.abs(changes).sum(0) + UNIT * np.abs(actual)
        compare(actual, np.concatenate([weight[None], -changes]), bound)
    means = {n: s / REPLICAS for n, s in replicas.statistics.items()}
    actual = {n: s.numpy() for n, s in after.state.statistics.items()}
    for name, terms in (means | {"loss": replicas.loss}).items():
        terms = terms.astype(np.float64)
        bound = rounding(REPLICAS - 1) * np.abs(terms).sum(0)
        compare((actual | {"loss": after.loss})[name], terms, bound)
    return worst


def replicas_apart(workload, strategy, batch, keys) -> float:
    """Return how far virtual and mirrored replicas are apart in float64.

    Relative to the largest element of all gradients, of all statistics, of the losses.
    """
    wide = dataclasses.replace(workload, dtype="float64", input_dtype="float64")
    replicas, state = Replicas(wide, strategy, PER_REPLICA), initial_state(wide, 7)
    a, b = (replicas(how, state, batch, keys) for how in ("virtual", "mirrored"))
    assert (a.correct == b.correct).all()
    apart = 0.0
    for part in ("gradients", "statistics", "loss"):
        x, y = (tf.nest.flatten(getattr(result, part)) for result in (a, b))
        largest = max(np.abs(t).max() for t in x)
        error = max(np.abs(s - t).max() for s, t in zip(x, y, strict=True))
        apart = max(apart, float(error / largest))
    return apart


def with_stale_link(strategy) -> dict[str, dict]:
    """Run a step in which replica 5 hands on a third of what it computed before."""
    # Few layers: a program with a unit is traced for each device.
    layers = convolution("conv1", 4, 3), GlobalAveragePooling("pool"), Dense("fc", 10)
    workload = dataclasses.replace(TINY, optimizer=SGD(), model=Sequence(layers))
    replicas = Replicas(workload, strategy, PER_REPLICA)
    programs = {
        "virtual": Program(workload, REPLICAS, PER_REPLICA),
        "mirrored": DistributedProgram(workload, strategy, PER_REPLICA),
    }
    state = initial_state(workload, 7)
    return {
        how: _stale_step(how, program, state, replicas)
        for how, program in programs.items()
    }


def _stale_step(how: str, program, state: State, replicas: Replicas) -> dict:
    fault = UnitFault(Link("stale", 1, 3), "zero", replica=5, first=1)
    first, second = (tiny_batch(REPLICAS, PER_REPLICA, seed) for seed in (0, 1))
    before = program.step(state, *first, RATE, fault, 0).state
    after = program.step(before, *second, RATE, fault, 1)
    old = replicas(how, state, *first)
    own = replicas(how, before._replace(sent=()), *second)
    size, start = sum(x[5].size for x in own.gradients.values()), 0
    for name, now in sorted(own.gradients.items()):
        place = start + np.arange(now[5].size).reshape(now[5].shape)
        stale = (place >= size // 3) & (place < size * 2 // 3)
        now[5][stale] = old.gradients[name][5][stale]
        start += now[5].size
    return {
        "share_of_bound": share_of_bound(before, after, own),
        "passed": int(after.record[0]) - (size * 2 // 3 - size // 3),
    }


def main() -> None:
    """Run the same steps both ways, the last with a fault in replica 5."""
    # A kernel may share a sum among as many threads as are free: with one there is one
    # order, and a replica has the same bits each time the same program computes it.
    tf.config.threading.set_intra_op_parallelism_threads(1)
    strategy = make_strategy("mirrored", REPLICAS)
    # Adam would blow up rounding: a bias before a batch norm has a gradient of zero but
    # for rounding, and Adam divides it by its own size.
    workload = dataclasses.replace(TINY, optimizer=SGD())
    programs = {
        "virtual": Program(workload, REPLICAS, PER_REPLICA),
        "mirrored": DistributedProgram(workload, strategy, PER_REPLICA),
    }
    replicas = Replicas(workload, strategy, PER_REPLICA)
    states = dict.fromkeys(programs, initial_state(workload, 7))
    site = programs["virtual"].table.id_of("block_conv1/grad_wt/output")
    word = np.array([FAULTY], np.float32).view(np.uint32)
    fault = replacing(site, 5, np.array([17]), word.astype(np.uint64))
    report = {"steps": [], "replicas": programs["mirrored"].replicas}
    for step in range(STEPS):
        batch, keys = tiny_batch(REPLICAS, PER_REPLICA, step)
        armed = fault if step == STEPS - 1 else None
        told = {}
        for how, program in programs.items():
            before = states[how]
            result = program.step(before, batch, keys, RATE, armed)
            states[how] = result.state
            own = replicas(how, before, batch, keys)
            if armed:
                # The site's elements are in the order of this view.
                kernel = own.gradients["block_conv1/kernel"][5].transpose(2, 0, 1, 3)
                kernel[np.unravel_index(17, kernel.shape)] = FAULTY
            told[how] = {
                "share_of_bound": share_of_bound(before, result, own),
                "accuracy": [result.accuracy, own.correct.sum() / batch.labels.size],
                "injected": read_record(result.record)[0].count if armed else 0,
            }
        report["steps"].append(told)
    copies = [
        {v.numpy().tobytes() for v in strategy.experimental_local_results(variable)}
        for variable in tf.nest.flatten(programs["mirrored"].variables)
    ]
    report["copies_equal"] = all(len(c) == 1 for c in copies)
    report["traces"] = [program.traces for program in programs.values()]
    report["stale"] = with_stale_link(strategy)
    batch, keys = tiny_batch(REPLICAS, PER_REPLICA)
    report["replicas_apart"] = replicas_apart(workload, strategy, batch, keys)
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
