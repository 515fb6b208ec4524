# SPDX-License-Identifier: Apache-2.0
"""Faults in variables, one read of them or for good, and counts of executions."""

import numpy as np
import pytest
import tensorflow as tf

import tpufi
from tests.instrument_checks import assert_same, check_exposed
from tpufi.instrument import WeightFault, flip

X = tf.constant([[1.0, 2.0, 3.0]])


@pytest.fixture
def program():
    w = tf.Variable(np.arange(1, 7, dtype=np.float32).reshape(3, 2), name="kernel")
    b = tf.Variable([0.5, -0.5], name="bias")

    @tf.function
    def run(x):
        return x @ w + b, w.read_value()

    fi = tpufi.instrument(run, sites=["MatMul", "ReadVariableOp"])
    fi.armed(X)
    return fi, w, b


def test_a_persistent_fault_is_there_in_the_block_and_gone_after_it(program):
    fi, w, _ = program
    golden, before = fi(X), w.numpy()
    fault = WeightFault("kernel", [3], -1, [1 << 31])
    with fi.corrupted(fault) as (change,):
        faulty = fi(X)
        check_exposed(golden[1], faulty[1], _as_injection(change))
    assert faulty[0].numpy().tolist() == [[22.5, 27.5 - 2 * 2 * 4]]
    np.testing.assert_array_equal(w, before)
    assert_same(fi(X), golden)


def _as_injection(change):
    assert change.variable == "kernel"
    return change


def test_a_persistent_fault_is_undone_after_an_exception_too(program):
    fi, w, _ = program
    before = w.numpy()
    with (
        pytest.raises(RuntimeError, match="stop"),
        fi.corrupted(WeightFault(0, [0], 0, [0]), WeightFault(0, [1], 0, [0])),
    ):
        assert w.numpy().reshape(-1)[:2].tolist() == [0, 0]
        raise RuntimeError("stop")
    np.testing.assert_array_equal(w, before)


def test_a_transient_fault_is_injected_into_one_read_only(program):
    fi, w, _ = program
    golden = fi(X)
    reads = [s for s in fi.sites if s.op == "ReadVariableOp" and s.shape == (3, 2)]
    assert len(reads) == 2
    run = fi.run([flip(reads[1].id, 2, 31)], X)
    assert_same(run.outputs[0], golden[0])
    check_exposed(golden[1], run.outputs[1], run.injections[0])
    assert_same(fi(X), golden)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (WeightFault("kernle", [0], 0, [0]), "no variable 'kernle'; nearest: kernel"),
        (WeightFault(2, [0], 0, [0]), r"variable 2 is outside \[0, 2\)"),
        (WeightFault(0, [6], 0, [0]), r"kernel: element 6 is outside \[0, 6\)"),
        (WeightFault(0, [], 0, [0]), "at least 1"),
        (WeightFault(0, [1, 1], 0, [0]), "must be distinct"),
        (WeightFault(0, [1, 2], 0, [0, 0, 0]), "3 words for 2 elements"),
        (WeightFault(0, [1], 0, [1 << 32]), "wider than 32 bits"),
    ],
)
def test_a_fault_that_does_not_fit_changes_nothing(program, fault, message):
    fi, w, _ = program
    before = w.numpy()
    good = WeightFault(0, [0], 0, [0])
    with pytest.raises(tpufi.InputError, match=message), fi.corrupted(good, fault):
        pass
    np.testing.assert_array_equal(w, before)


def test_executions_are_counted_by_running_without_a_trace_of_it():
    total = tf.Variable(0.0)

    @tf.function(
        input_signature=[tf.TensorSpec((None,), tf.float32), tf.TensorSpec((), tf.bool)]
    )
    def inner(x, positive):
        total.assign_add(1.0)
        for _ in tf.range(3):
            x = tf.exp(x * 0.1)
        if positive:
            x = tf.sin(x)
        return x + total

    fi = tpufi.instrument(lambda x: inner(x, tf.constant(False)))
    found = fi.executions(tf.zeros(5))
    assert total.numpy() == 0
    counts = [(e.site.op, e.iterations, e.size) for e in found]
    assert counts.count(("Mul", (2,), 5)) == 1
    assert [i for op, i, _ in counts if op == "Exp"] == [(0,), (1,), (2,)]
    assert "Sin" not in {op for op, _, _ in counts}
    assert ("AddV2", None, 5) in counts
    assert {s.size for s in fi.sites if s.op == "Exp"} == {None}
    exp = [s for s in fi.sites if s.op == "Exp"][0]
    with pytest.raises(tpufi.InputError, match=r"flat indices are \[0, 5\)"):
        fi.run([flip(exp.id, 5, 0)], tf.zeros(5))
    assert fi.traces == 1
