# SPDX-License-Identifier: Apache-2.0
"""Sites in the conditions of loops: each evaluation can have a logged fault."""

import numpy as np
import pytest
import tensorflow as tf

import tpufi
from tests.instrument_checks import assert_same, check_off
from tpufi.instrument import SiteFault, replace

X = tf.constant([1.0, 2.0])
W = tf.Variable([3.0, 4.0])


@tf.function
def until_large(x):
    """Grow until half of the sum, 1.5 at first, reaches 10: five iterations."""
    steps = 0.0
    while tf.reduce_sum(x) * 0.5 < 10.0:
        x = x * 1.5
        steps += 1.0
    return x, steps


def condition_site(fi, op: str = "Mul"):
    (site,) = [s for s in fi.sites if ":cond" in s.layer and s.op == op]
    return site


@pytest.mark.parametrize("compiled", [False, True])
def test_a_fault_in_an_evaluation_of_a_condition_is_logged(compiled):
    fi = tpufi.instrument(until_large, jit_compile=compiled)
    check_off(fi, until_large, X)
    site = condition_site(fi)
    assert site.name == "while:cond/mul:0" and site.loops == 1
    large, small = (int(np.float32(v).view(np.uint32)) for v in (100, 0))
    for evaluation in range(6):
        golden = np.float32(1.5) * np.float32(1.5) ** evaluation
        run = fi.run([replace(site.id, [0], bits=[large], iterations=(evaluation,))], X)
        (injection,) = run.injections
        assert injection.times == 1
        assert injection.golden.tolist() == [golden.view(np.uint32)]
        assert injection.faulty.tolist() == [large]
        assert run.outputs[1] == min(evaluation, 5)  # It ends there.
    run = fi.run([replace(site.id, [0], bits=[small], iterations=(5,))], X)
    assert run.outputs[1] == 6  # It goes on once more.
    nothing = fi.run([replace(site.id, [0], bits=[large], iterations=(6,))], X)
    assert nothing.injections[0].times == 0
    assert_same(nothing.outputs, until_large(X))
    assert fi.traces == 1


def test_a_condition_is_evaluated_once_more_than_the_body():
    fi = tpufi.instrument(until_large)
    counts = {}
    for execution in fi.executions(X):
        name = execution.site.name
        counts[name] = counts.get(name, 0) + 1
    assert counts == {
        "while:cond/Sum:0": 6,
        "while:cond/mul:0": 6,
        "while/mul:0": 5,
        "while/add:0": 5,
    }


def test_conditions_alone_can_be_armed_and_carry_truth_values():
    fi = tpufi.instrument(until_large, sites=[{"op": "Less", "layer": "*:cond"}])
    check_off(fi, until_large, X)
    sites = [s for s in fi.sites if s.name.startswith("while:cond/Less")]
    runs = [fi.run([replace(s.id, [0], bits=[0], iterations=(2,))], X) for s in sites]
    assert all(run.injections[0].times == 1 for run in runs)
    assert 2.0 in [float(run.outputs[1]) for run in runs]


def test_a_condition_in_a_loop_in_a_loop():
    @tf.function
    def program(x):
        n = 0.0
        while tf.reduce_sum(x) < 50.0:
            while tf.reduce_max(x) < n * 3.0:
                x = x * 1.2
            x = x + 1.0
            n += 1.0
        return x, n

    fi = tpufi.instrument(program)
    check_off(fi, program, X)
    (site,) = [s for s in fi.sites if s.op == "Max"]
    assert site.loops == 2
    golden = program(X)
    large = int(np.float32(1e6).view(np.uint32))
    run = fi.run([replace(site.id, [0], bits=[large], iterations=(2, 0))], X)
    assert run.injections[0].times == 1
    assert (run.outputs[0].numpy() != golden[0].numpy()).any()
    late = fi.run([replace(site.id, [0], bits=[large], iterations=(99, 0))], X)
    assert late.injections[0].times == 0


def test_a_tape_differentiates_a_loop_that_reads_a_variable():
    @tf.function
    def program(x):
        y = x * W
        while tf.reduce_sum(y) < 200.0:
            y = y * W
        return y

    with tf.GradientTape() as tape:
        y = program(X)
    own = tape.gradient(y, W)
    for sites in (None, [{"name": "mul:0"}], [{"layer": "*:cond"}]):
        fi = tpufi.instrument(program, sites=sites)
        fi.armed(X)
        site = fi.sites[0]
        same = replace(site.id, [0], bits=[0], iterations=(99,) * site.loops)
        keep_all = SiteFault(site.id, [0], -1, [0])
        for fault in [keep_all, *([same] if site.loops else [])]:
            with fi.injected(fault), tf.GradientTape() as tape:
                y = fi(X)
            np.testing.assert_allclose(tape.gradient(y, W), own, rtol=1e-6)
