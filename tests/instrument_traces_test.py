# SPDX-License-Identifier: Apache-2.0
"""Several traces of one program: sites keep their ids, the log is of the trace."""

import json

import numpy as np
import pytest
import tensorflow as tf

import tpufi
from tests.instrument_checks import assert_same
from tests.rows import changing
from tpufi.contrib.tensorfi.any_plan import read_plan
from tpufi.instrument import flip, zero

X = tf.constant([1.0, 4.0, 9.0, 16.0, 25.0])
PAIR = tf.constant([1.0, 4.0])


@tf.function
def program(x, deep):
    if deep:
        x = x * 2.0
    return tf.sqrt(x)


def instrumented(first: bool = False, **how):
    """Return the program, traced for shallow calls only; its square root is 1."""
    fi = tpufi.instrument(program, sites=["*"], **how)
    fi.armed(X, deep=first)
    return fi


def site_of(fi, op: str, *args, **kwargs):
    (site,) = [s for s in fi.armed(*args, **kwargs).sites if s.op == op]
    return site


def graph_of(fi, deep: bool, x=X):
    """Return a graph that calls the program; traced."""
    user = tf.function(lambda x: fi(x, deep=deep), autograph=False)
    user(x)
    return user


def test_a_node_has_one_id_and_a_new_node_a_new_one():
    fi = instrumented()
    shallow = fi.sites
    deep = fi.armed(X, deep=True).sites
    assert [s.id for s in shallow] == list(range(len(shallow)))
    names = {s.name: s.id for s in shallow}
    assert names.items() <= {s.name: s.id for s in deep}.items()
    added = [s.id for s in deep if s.name not in names]
    assert added and sorted(added) == list(range(len(shallow), len(deep)))
    assert fi.armed(X, deep=False).sites == shallow
    assert [s.id for s in fi.armed(PAIR, deep=False).sites] == list(names.values())
    assert fi.traces == 3


@pytest.mark.parametrize("graph", [False, True])
def test_the_log_names_what_was_injected_in_each_trace(graph):
    fi = instrumented()
    calls = [(graph_of(fi, deep) if graph else fi, deep) for deep in (False, True)]
    fault = zero(site_of(fi, "Sqrt", X, deep=False).id, [3])
    with fi.injected(fault) as injections:
        for call, deep in calls:
            faulty = call(X) if graph else call(X, deep=deep)
            assert np.flatnonzero(faulty != program(X, deep)).tolist() == [3]
    assert [(s.site.op, s.site.name, s.times) for s in injections] == [
        ("Sqrt", "Sqrt:0", 1)
    ] * 2
    golden = [program(X, deep).numpy()[3] for deep in (False, True)]
    assert [s.golden.view(np.uint64).tolist() for s in injections] == [
        [int(g.view(np.uint32))] for g in golden
    ]


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("longer_first", [False, True])
def test_elements_are_those_of_the_trace_that_runs(graph, longer_first):
    fi = tpufi.instrument(program)
    inputs = [X, PAIR] if longer_first else [PAIR, X]
    calls = {}
    for x in inputs:
        fi.armed(x, deep=False)
        calls[len(x)] = graph_of(fi, False, x) if graph else lambda x: fi(x, deep=False)
    (site,) = fi.sites
    with fi.injected(zero(site.id, [4])) as injections:
        assert calls[5](X).numpy().tolist() == [1, 2, 3, 4, 0]
        with pytest.raises(tpufi.InputError, match=r"element 4 is outside \[0, 2\)"):
            calls[2](PAIR)
    assert [s.site.shape for s in injections] == [(5,)]
    with fi.injected(zero(site.id, [1])) as injections:
        assert calls[5](X).numpy().tolist() == [1, 0, 3, 4, 5]
        assert calls[2](PAIR).numpy().tolist() == [1, 0]
    assert [s.site.shape for s in injections] == [(5,), (2,)]


@pytest.mark.parametrize("graph", [False, True])
def test_a_site_of_another_trace_is_refused_by_name(graph):
    fi = instrumented()
    fault = flip(site_of(fi, "Mul", X, deep=True).id, 0, 3)
    user = graph_of(fi, False) if graph else lambda x: fi(x, deep=False)
    told = (
        r"site \d+, mul:0, is not in the trace for \(float32\[5\], deep=False\), but "
        r"in another one; inject into a site that armed\(...\).sites lists"
    )
    refused = pytest.raises(tpufi.InputError, match=told)
    with refused as caught, fi.injected(fault):
        user(X)
    assert "\n" not in str(caught.value)
    with pytest.raises(tpufi.InputError, match=told):
        fi.run([fault], X, deep=False)
    assert not fi.enabled
    assert_same(user(X), program(X, False))
    (injection,) = fi.run([fault], X, deep=True).injections
    assert injection.site.op == "Mul" and injection.times == 1


def test_a_name_that_stands_for_two_operations_stands_for_two_sites():
    def either(x, kind):
        return tf.exp(x, name="same") if kind == "exp" else tf.sqrt(x, name="same")

    fi = tpufi.instrument(either)
    (first,), (second,) = (fi.armed(X, kind).sites for kind in ("sqrt", "exp"))
    assert (first.op, first.name) == ("Sqrt", "same:0")
    assert (second.op, second.name) == ("Exp", "same@1:0")
    with pytest.raises(tpufi.InputError, match=r"float32\[5\], 'exp'\)"):
        fi.run([zero(first.id, [0])], X, "exp")


def test_a_function_keeps_its_sites_when_another_is_called_before_it():
    @tf.function
    def doubled(x):
        return x * 2.0

    @tf.function
    def tripled(x):
        return x * 3.0

    def both(x, deep):
        return doubled(x) + (tripled(x) + doubled(x) if deep else 0.0)

    def deep_first(x, deep):
        if deep:
            x = tripled(x)
        return doubled(x)

    for whole in (both, deep_first):
        fi = tpufi.instrument(whole, sites=["Mul"])
        (site,) = fi.armed(X, False).sites
        fi.armed(X, True)
        assert len({s.name for s in fi.sites}) == len({s.id for s in fi.sites}) > 1
        for deep in (False, True):
            (injection,) = fi.run([zero(site.id, [4])], X, deep).injections
            golden = 50.0 * (3 if deep and whole is deep_first else 1)
            assert injection.golden.tolist() == [
                int(np.float32(golden).view(np.uint32))
            ]


def test_types_are_those_of_the_trace_that_runs():
    fi = tpufi.instrument(tf.sqrt)
    narrow, wide = X, tf.cast(X, tf.float64)
    (site,) = fi.armed(narrow).sites
    (other,) = fi.armed(wide).sites
    assert site.id == other.id and (site.dtype, other.dtype) == ("float32", "float64")
    (injection,) = fi.run([flip(site.id, 0, 40)], wide).injections
    assert injection.entry()["dtype"] == "float64"
    with pytest.raises(tpufi.InputError, match="wider than the 32 bits of float32"):
        fi.run([flip(site.id, 0, 40)], narrow)


def test_executions_and_saved_programs_are_of_their_own_trace(tmp_path):
    fi = instrumented()
    own = {"deep": True}
    deep = fi.armed(X, **own)
    assert [e.site for e in fi.executions(X, **own) if e.size] == [*deep.sites]
    assert {e.site.id for e in fi.executions(PAIR, deep=False)} == {
        s.id for s in fi.armed(PAIR, deep=False).sites
    }
    halves = tpufi.instrument(lambda x: program(x, x.shape[0] == 5), sites=["Sqrt"])
    halves.armed(PAIR)
    (site,) = halves.armed(X).sites
    halves.armed(PAIR)
    halves.save(tmp_path / "deep", X)
    loaded = tf.saved_model.load(str(tmp_path / "deep"))
    (saved,) = json.loads(loaded.sites().numpy())
    assert (saved["id"], saved["shape"]) == (site.id, [5])
    d = changing(saved["id"], -1, 2, 1, keep=0, word=0)
    outputs, _ = loaded.armed(X, d.faults, d.words)
    assert np.flatnonzero(outputs != program(X, True)).tolist() == [2]


def test_a_configuration_draws_from_the_trace_that_runs():
    config = {
        "TensorFaultType": "bitFlip-element",
        "Ops": ["ALL = 1"],
        "InjectMode": "oneFaultPerRun",
        "Seed": 3,
    }
    fi = tpufi.instrument(program, read_plan(config))
    seen = set()
    with fi.injected() as injections:
        for run in range(24):
            deep = run % 2 == 1
            faulty = fi(X if run % 3 else PAIR, deep=deep)
            injection = injections[-1]
            armed = fi.armed(X if run % 3 else PAIR, deep=deep)
            assert injection.site == armed.site(injection.site.id)
            assert injection.times == 1
            assert injection.site.shape == faulty.shape
            seen.add((injection.site.op, deep))
    assert seen == {("Sqrt", False), ("Sqrt", True), ("Mul", True)}
