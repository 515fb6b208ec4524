# SPDX-License-Identifier: Apache-2.0
"""Injections are on in one thread; other threads run the program as it is."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf

import tpufi
from tests.instrument_checks import assert_same
from tpufi.contrib.tensorfi.any_plan import read_plan
from tpufi.instrument import replace, zero

X = tf.constant([1.0, 2.0, 3.0, 4.0])
CONFIG = {
    "TensorFaultType": "Zero",
    "Ops": ["ALL = 1"],
    "InjectMode": "oneFaultPerRun",
    "Seed": 1,
}
CALLS = 100


def program(x):
    return tf.exp(x) + 1.0


def user_of(fi, kind: str) -> Callable:
    """Return what calls the program, after a first call."""
    inner = tf.function(lambda x: fi(x), autograph=False)

    def in_loop(x):
        y = x
        for _ in tf.range(1):
            y = inner(x)
        return y

    def in_branch(x):
        return tf.cond(x[0] > 0.0, lambda: fi(x), lambda: x)

    user = {
        "eager": fi,
        "graph": inner,
        "loop": tf.function(in_loop),
        "branch": tf.function(in_branch, autograph=False),
        "compiled": tf.function(lambda x: fi(x), autograph=False, jit_compile=True),
    }[kind]
    user(X)
    return user


def together(*tasks: Callable[[], object]) -> list:
    """Run tasks in threads that start at the same time; return their results."""
    start = threading.Barrier(len(tasks))

    def run(task):
        start.wait()
        return task()

    with ThreadPoolExecutor(len(tasks)) as pool:
        return [f.result() for f in [pool.submit(run, task) for task in tasks]]


def prepared(kind: str):
    fi = tpufi.instrument(program, sites=["AddV2"])
    fi.armed(X)
    return fi, fi.sites[0].id, user_of(fi, kind)


@pytest.mark.parametrize("kind", ["eager", "graph", "loop", "branch", "compiled"])
def test_calls_of_other_threads_have_no_fault(kind):
    fi, site, user = prepared(kind)
    golden = user(X).numpy()

    def faulty() -> int:
        for element in range(CALLS):
            with fi.injected(zero(site, [element % 4])) as injections:
                faulty = user(X).numpy()
            assert np.flatnonzero(faulty != golden).tolist() == [element % 4]
            assert [(s.elements.tolist(), s.times) for s in injections] == [
                ([element % 4], 1)
            ]
        return CALLS

    def plain() -> int:
        for _ in range(CALLS):
            assert not fi.enabled
            np.testing.assert_array_equal(user(X).numpy(), golden)
        return CALLS

    assert together(faulty, plain, plain) == [CALLS] * 3


@pytest.mark.parametrize("kind", ["eager", "graph", "loop"])
def test_each_thread_has_faults_and_a_log_of_its_own(kind):
    fi, site, user = prepared(kind)
    golden = user(X).numpy()

    def task(element: int) -> Callable:
        word = int(np.float32(100 + element).view(np.uint32))

        def run() -> list:
            with fi.injected(replace(site, [element], bits=[word])) as injections:
                for _ in range(CALLS):
                    faulty = user(X).numpy()
                    assert np.flatnonzero(faulty != golden).tolist() == [element]
                    assert faulty[element] == 100 + element
            return [(s.elements.tolist(), s.times) for s in injections]

        return run

    logs = together(*map(task, range(4)))
    for element, log in enumerate(logs):
        in_graph = [([element], CALLS)]
        assert log == ([([element], 1)] * CALLS if kind == "eager" else in_graph)


def test_threads_that_meet_a_program_first_share_its_trace():
    alone = tpufi.instrument(program).armed(X).sites
    for _ in range(5):
        fi = tpufi.instrument(program)
        found = together(*[lambda fi=fi: fi.armed(X)] * 4)
        assert len(set(map(id, found))) == 1
        assert fi.traces == 1
        assert fi.sites == alone


def test_a_configuration_draws_each_run_for_one_thread():
    fi = tpufi.instrument(program, read_plan(CONFIG))
    fi.armed(X)
    golden = program(X).numpy()

    def drawn() -> list:
        with fi.injected() as injections:
            for _ in range(CALLS // 4):
                assert (fi(X).numpy() != golden).any()
        return [(s.site.id, s.elements.tolist()) for s in injections]

    logs = together(drawn, drawn)
    assert fi.planned.next == 2 * (CALLS // 4)
    alone = tpufi.instrument(program, read_plan(CONFIG))
    with alone.injected() as injections:
        for _ in range(fi.planned.next):
            alone(X)
    runs = sorted((s.site.id, s.elements.tolist()) for s in injections)
    assert sorted(logs[0] + logs[1]) == runs


def test_switches_are_those_of_the_thread():
    fi = tpufi.instrument(program, read_plan(CONFIG))
    golden = fi(X).numpy()

    def switching() -> None:
        for _ in range(CALLS // 4):
            fi.turn_on()
            assert (fi(X).numpy() != golden).any()
            fi.turn_off()
            np.testing.assert_array_equal(fi(X).numpy(), golden)

    def plain() -> None:
        for _ in range(CALLS):
            fi.turn_off()
            assert not fi.enabled
            np.testing.assert_array_equal(fi(X).numpy(), golden)

    together(switching, switching, plain)


def test_a_graph_in_a_graph_in_a_thread_has_a_gradient():
    fi, site, inner = prepared("graph")
    w = tf.Variable(X)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(inner(w)))
        return tape.gradient(loss, w)

    golden = step().numpy()

    def faulty() -> None:
        with fi.injected(zero(site, [2])) as injections:
            for _ in range(CALLS // 4):
                assert step().numpy().tolist() == [*golden[:2], 0.0, golden[3]]
        assert [s.times for s in injections] == [CALLS // 4]

    def plain() -> None:
        for _ in range(CALLS // 4):
            np.testing.assert_array_equal(step().numpy(), golden)

    together(faulty, plain)


def test_an_instrumented_program_in_another_one_has_its_own_faults():
    fi, site, _ = prepared("eager")
    outer = tpufi.instrument(lambda x: tf.sqrt(fi(x)), sites=["Sqrt"])
    (own,) = outer.armed(X).sites
    golden = outer.run((), X).outputs.numpy()
    with fi.injected(zero(site, [1])) as injections:
        run = outer.run([zero(own.id, [2])], X)
    assert np.flatnonzero(run.outputs != golden).tolist() == [1, 2]
    assert [s.times for s in (*injections, *run.injections)] == [1, 1]
    assert_same(outer.run((), X).outputs, tf.sqrt(program(X)))


def test_a_pipeline_that_is_made_in_a_block_has_no_fault_after_it():
    fi, site, _ = prepared("eager")
    with fi.injected(zero(site, [1])) as injections:
        pipeline = tf.data.Dataset.from_tensors(X).map(fi)
        (faulty,) = pipeline
    assert faulty[1] == 0.0 and [s.times for s in injections] == [1]
    (after,) = pipeline
    assert_same(after, tf.function(program)(X))
