# SPDX-License-Identifier: Apache-2.0
"""Faults in functions, branches and loops; in graphs, compiled, saved, on replicas."""

import json
import math
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import tpufi
from tests.instrument_checks import assert_same, check_exposed, check_off
from tests.rows import changing
from tpufi.descriptor import read_record
from tpufi.instrument import flip, replace, zero

X = tf.constant([1.0, 2.0, 3.0, 4.0])


def only(fi, **wanted):
    """Return the one armed site with these properties."""
    (site,) = [
        s for s in fi.sites if all(getattr(s, k) == v for k, v in wanted.items())
    ]
    return site


def test_a_function_that_is_called_twice_has_two_sites():
    @tf.function
    def double(x):
        return x * 2.0

    fi = tpufi.instrument(lambda x: double(x) + double(x))
    check_off(fi, lambda x: 4 * x, X)
    first, second = [s for s in fi.sites if s.op == "Mul"]
    assert first.name != second.name
    both = []
    for site in (first, second):
        run = fi.run([zero(site.id, [1])], X)
        assert run.outputs.numpy().tolist() == [4, 4, 12, 16]
        both += run.injections
    assert [s.golden.tolist() for s in both] == [[0x40800000]] * 2


@pytest.mark.parametrize("taken", [False, True])
def test_a_branch_is_faulty_only_if_it_is_taken(taken):
    @tf.function
    def program(x, condition):
        return tf.cond(condition, lambda: tf.exp(x), lambda: -x)

    fi = tpufi.instrument(program)
    condition = tf.constant(taken)
    check_off(fi, program, X, condition)
    golden = program(X, condition)
    for op, runs in (("Exp", taken), ("Neg", not taken)):
        run = fi.run([flip(only(fi, op=op).id, 2, 30)], X, condition)
        (injection,) = run.injections
        assert injection.times == int(runs)
        if runs:
            check_exposed(golden, run.outputs, injection)
        else:
            assert_same(run.outputs, golden)


@pytest.mark.parametrize("number", range(3))
def test_a_case_of_several_branches(number):
    @tf.function
    def program(x, i):
        return tf.switch_case(
            i, [lambda: tf.exp(x), lambda: x + 0.0, lambda: tf.square(x)]
        )

    fi = tpufi.instrument(program, sites=["Exp", "Square"])
    i = tf.constant(number)
    check_off(fi, program, X, i)
    run = fi.run([flip(only(fi, op="Square").id, 0, 31)], X, i)
    assert [s.times for s in run.injections] == [int(number == 2)]


@pytest.mark.parametrize("compiled", [False, True])
def test_nested_loops_are_faulty_in_the_named_iterations(compiled):
    @tf.function
    def program(x):
        trail = tf.zeros((3, 2, 4))
        for i in tf.range(3):
            for j in tf.range(2):
                x = x + 1.0
                where = tf.stack([i, j])[tf.newaxis]
                trail = tf.tensor_scatter_nd_update(trail, where, x[tf.newaxis])
        return trail

    fi = tpufi.instrument(
        program, sites=[{"op": "AddV2", "dtype": "float32"}], jit_compile=compiled
    )
    check_off(fi, program, X)
    golden = program(X).numpy()
    (site,) = fi.sites
    assert site.loops == 2
    for i, j in ((0, 0), (1, 0), (2, 1)):
        words = np.float32(100).view(np.uint32)
        run = fi.run([replace(site.id, [1], bits=[words], iterations=(i, j))], X)
        assert run.injections[0].times == 1
        expected = golden.copy()
        left = golden.reshape(6, 4)[:, 1] - golden[i, j, 1]
        later = np.arange(6) >= 2 * i + j
        expected.reshape(6, 4)[later, 1] = 100 + left[later]
        np.testing.assert_array_equal(run.outputs, expected)


def test_a_loop_without_sites_stays_as_it_is():
    @tf.function
    def program(x):
        for _ in tf.range(3):
            x = tf.identity(x)
        return tf.exp(x)

    fi = tpufi.instrument(program, sites=["Exp"])
    check_off(fi, program, X)


@pytest.mark.parametrize("kind", ["loop", "branch"])
def test_what_is_inside_control_flow_of_tensorflow_1_is_left_out_by_name(kind):
    v1 = tf.compat.v1
    graph = tf.Graph()
    with graph.as_default():
        v1.disable_control_flow_v2()
        try:
            x = v1.placeholder(tf.float32, (4,), "x")
            if kind == "loop":
                _, y = tf.while_loop(
                    lambda i, y: i < 3, lambda i, y: (i + 1, tf.exp(y * 0.1)), (0, x)
                )
            else:
                y = tf.cond(x[0] > 0, lambda: tf.exp(x), lambda: tf.cos(x))
            tf.add(y, 1.0, name="out")
        finally:
            v1.enable_control_flow_v2()
    definition = graph.as_graph_def()
    assert {"Switch", "Merge"} <= {n.op for n in definition.node}
    fi = tpufi.instrument(definition, feeds=["x"], fetches=["out"])
    check_off(fi, fi.program, X)
    assert {site.op for site in fi.sites} == {"AddV2"}
    skipped = dict(fi.armed(X).skipped)
    (inside,) = [name for name in skipped if name.endswith("Exp")]
    assert "control flow of TensorFlow 1" in skipped[inside]


@pytest.mark.parametrize("dtype", ["bool", "int8", "int32", "bfloat16", "float16"])
def test_sites_of_any_element_type(dtype):
    def program(x):
        return tf.reverse(tf.cast(x - 2.0, dtype), [0])

    fi = tpufi.instrument(program, sites=[{"op": "ReverseV2"}])
    check_off(fi, program, X) if dtype != "bool" else fi.armed(X)
    golden = program(X)
    site = only(fi, dtype=dtype)
    run = fi.run([flip(site.id, 1, 0)], X)
    if dtype == "bool":
        assert run.outputs.numpy().tolist() == [True, False, False, True]
        assert (run.injections[0].golden, run.injections[0].faulty) == ([1], [0])
    else:
        check_exposed(golden, run.outputs, run.injections[0])


def test_inside_a_tf_function_faults_come_without_a_new_trace():
    traces = []
    fi = tpufi.instrument(lambda x: tf.exp(x) + 1.0)

    @tf.function
    def user(x):
        traces.append(None)
        return 2 * fi(x)

    golden = user(X)
    assert_same(golden, 2 * (tf.exp(X) + 1.0))
    site = only(fi, op="AddV2")
    for element in range(4):
        with fi.injected(zero(site.id, [element])) as injections:
            faulty = user(X).numpy()
        expected = golden.numpy()
        expected[element] = 0
        np.testing.assert_array_equal(faulty, expected)
        assert [s.times for s in injections] == [1]
        assert injections[0].faulty.tolist() == [0]
    assert_same(user(X), golden)
    assert len(traces) == 1


def test_elements_without_faults_are_left_out_by_name():
    fi = tpufi.instrument(lambda x: tf.exp(tf.math.real(tf.signal.fft(_complex(x)))))
    assert {site.op for site in fi.armed(X).sites} == {"Real", "Exp"}
    reasons = {reason for _, reason in fi.armed(X).skipped}
    assert reasons == {"elements of type complex64"}


def _complex(x: tf.Tensor) -> tf.Tensor:
    return tf.complex(x, tf.zeros_like(x))


def test_a_tape_differentiates_an_instrumented_call_straight_through():
    w = tf.Variable([3.0, 4.0, 5.0, 6.0])

    @tf.function
    def program(x):
        return tf.square(x * w)

    fi = tpufi.instrument(program, sites=["Mul"])
    fi.armed(X)
    (site,) = [s for s in fi.sites if s.op == "Mul"]
    with fi.injected(zero(site.id, [1])), tf.GradientTape() as tape:
        y = fi(X)
    gradient = tape.gradient(y, w).numpy()
    assert gradient.tolist() == [6.0, 0.0, 90.0, 192.0]  # 2 (x w) x, x w being 0 at 1.


def test_a_saved_model_takes_its_faults_as_inputs(tmp_path):
    w = tf.Variable([3.0, 4.0, 5.0, 6.0])
    fi = tpufi.instrument(lambda x: tf.exp(-x * w))
    fi.save(tmp_path / "saved", X)
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    sites = json.loads(loaded.sites().numpy())
    assert [s["op"] for s in sites] == ["Neg", "Mul", "Exp"]
    d = changing(sites[2]["id"], -1, 2, 1, keep=0, word=0)
    outputs, record = loaded.armed(X, d.faults, d.words)
    golden = tf.exp(-X * w).numpy()
    assert outputs.numpy().tolist() == [*golden[:2].tolist(), 0.0, float(golden[3])]
    (injected,) = read_record(record.numpy())
    assert injected.golden.tolist() == [int(golden[2].view(np.uint32))]
    with pytest.raises(tpufi.InputError, match="exists; name a new folder"):
        fi.save(tmp_path / "saved", X)


def test_the_picture_of_the_graph_shows_the_sites(tmp_path):
    fi = tpufi.instrument(lambda x: tf.exp(x))
    fi.armed(X)
    fi.write_graph(tmp_path)
    (events,) = tmp_path.iterdir()
    written = [e.graph_def for e in tf.compat.v1.train.summary_iterator(str(events))]
    graph = tf.compat.v1.GraphDef.FromString(b"".join(written))
    assert "Exp/tpufi_fault_0" in {n.name for n in graph.node}


def test_mirrored_replicas_are_faulty_one_by_one_or_all():
    run = subprocess.run(
        [sys.executable, "-m", "tests.instrument_mirrored_program"],
        cwd=pathlib.Path(__file__).resolve().parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    report = json.loads(run.stdout)
    golden = pytest.approx([1.0, 1.0, math.exp(3)])
    faulty = pytest.approx([1.0, 1.0, 0.0])
    assert report["golden"] == report["after"] == [golden, golden]
    assert report["faulty"] == [[golden, faulty], [faulty, golden], [faulty, faulty]]
    assert report["times"] == [[1], [1], [2]]
    assert report["traces"] == 1
