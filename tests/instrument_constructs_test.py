# SPDX-License-Identifier: Apache-2.0
"""Constructs that programs are made of, each with sites: bits kept, flips as logged."""

import numpy as np
import pytest
import tensorflow as tf

import tpufi
from tests.instrument_checks import assert_same, check_flip
from tpufi.descriptor import disarmed
from tpufi.instrument import flip

keras = tf.keras
X = tf.random.stateless_normal((4, 6), (1, 2))
W = tf.Variable(np.linspace(-1, 1, 6, dtype=np.float32))


@tf.custom_gradient
def doubled_slope(x):
    y = tf.exp(x)
    return y, lambda dy: dy * y * 2.0


@tf.recompute_grad
def recomputed(x):
    return tf.tanh(x * W)


def gradient_of(function):
    """Return a step that differentiates a function with respect to W."""

    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(function(x))
        return tape.gradient(loss, W)

    return step


@tf.function
def halved(x):
    return tf.exp(x) * 0.5


@tf.function
def calls_in_a_loop(x):
    for _ in tf.range(2):
        x = halved(x)
    return x


class Tables(tf.Module):
    """A module with a variable and a table, called with a keyword."""

    def __init__(self):
        self.w = tf.Variable(tf.ones((6, 3)))
        keys = tf.lookup.KeyValueTensorInitializer([1, 2], [3.0, 4.0])
        self.table = tf.lookup.StaticHashTable(keys, -1.0)

    def __call__(self, x, scale=1.0):
        found = self.table.lookup(tf.constant([1, 5]))
        return {"y": tf.exp(x @ self.w * scale), "found": found * 2.0, "none": None}


PROGRAMS = {
    "map_fn": tf.function(lambda x: tf.map_fn(lambda row: tf.exp(row) * 2.0, x)),
    "scan": tf.function(lambda x: tf.scan(lambda a, row: a * 0.5 + row, x)),
    "custom gradient": gradient_of(lambda x: doubled_slope(x * W)),
    "recomputation": gradient_of(recomputed),
    "compiled part": tf.function(lambda x: tf.exp(x) * 2.0, jit_compile=True),
    "concrete function": halved.get_concrete_function(tf.TensorSpec((None, 6))),
    "calls in a loop": calls_in_a_loop,
    "module": Tables(),
    "einsum": tf.function(lambda x: tf.einsum("bi,bj->ij", x, x)),
    "several outputs": lambda x: (tf.unstack(tf.exp(x)), {"sum": tf.reduce_sum(x)}),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_construct_keeps_its_bits_and_can_have_faults(name):
    program = PROGRAMS[name]
    fi = tpufi.instrument(program)
    own = program(X)
    assert_same(fi.run((), X).outputs, own)
    assert_same(fi(X), own)
    tf.nest.assert_same_structure(fi.run((), X).outputs, own)
    for site in fi.sites:
        if site.size is not None:
            check_flip(fi, site, 0, 22, X)
    assert fi.traces == 1


def test_arguments_are_numbers_arrays_mappings_and_keywords():
    fi = tpufi.instrument(Tables())
    assert_same(fi.run((), X, scale=2.0).outputs, fi(X, scale=2.0))
    both = tpufi.instrument(lambda x, more: x * more["a"] + more["b"][0])
    given = {"a": np.float32(2.0), "b": [np.ones(6, np.float32), 3]}
    assert_same(both.run((), X.numpy(), given).outputs, 2 * X + 1)
    run = both.run([flip(both.sites[0].id, 0, 31)], X, given)
    assert run.outputs[0, 0] == 1 - 2 * X[0, 0]
    both.run((), X + 1, {"a": np.float32(5.0), "b": [np.ones(6, np.float32), 3]})
    assert both.traces == 1


def test_keras_dropout_draws_the_same_with_sites():
    dropout = keras.layers.Dropout(0.5, seed=4)
    model = keras.Sequential([keras.Input((6,)), dropout, keras.layers.Dense(2)])
    fi = tpufi.instrument(model)
    fi.armed(X, training=True)
    state = dropout.seed_generator.state
    start = state.value.numpy()
    outputs = []
    for run in (model, lambda *a, **k: fi.run((), *a, **k).outputs):
        state.assign(start)
        outputs.append(run(X, training=True))
    assert_same(outputs[1], outputs[0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tpufi.instrument(3), "int is no program; give a Keras model"),
        (lambda: tpufi.instrument("no/such/folder"), "no SavedModel that loads"),
        (lambda: tpufi.instrument(halved, feeds=["x"]), "name tensors of a GraphDef"),
        (lambda: tpufi.instrument(tf.compat.v1.GraphDef()), "needs fetches="),
        (lambda: _armed(sites=["Conv3D"]), "no site has {'op': 'Conv3D'}; nearest ops"),
        (lambda: _armed(sites=[{"opp": "Exp"}]), "unknown property 'opp'"),
        (lambda: _armed(sites=[{"nth": "1"}]), "nth '1'; expected int"),
        (lambda: _armed(sites=[{"direction": "up"}]), "direction 'up'; known: forward"),
        (lambda: _armed(sites=["Exp"], exclude=["Exp"]), "no site is left"),
        (lambda: tpufi.instrument(halved).sites, "has not been traced"),
        (lambda: _armed().turn_on(), "there is no configuration"),
        (lambda: _armed().run([flip(999, 0, 0)], X), "site 999 is not armed"),
        (
            lambda: _injected(element=24),
            r"start 24 .* indices are \[0, 24\); executions",
        ),
        (lambda: _injected(bit=32), "wider than the 32 bits of float32"),
        (lambda: _injected(bit=-1), "bit -1 is none of 0 to 63"),
        (lambda: _injected(iterations=(0,)), "1 iterations for a site in 0 loops"),
        (lambda: _injected(replica=5000), r"replica 5000 is outside \[0, 4096\)"),
    ],
)
def test_wrong_use_is_told_in_one_line(call, message):
    with pytest.raises(tpufi.InputError, match=message.replace("{", r"\{")) as caught:
        call()
    assert "\n" not in str(caught.value)


def _armed(**how):
    fi = tpufi.instrument(halved, **how)
    fi.armed(X)
    return fi


def _injected(element: int = 0, bit: int = 0, **where):
    fi = _armed()
    return fi.run([flip(fi.sites[0].id, element, bit, **where)], X)


def test_a_program_with_a_table_is_saved_if_it_holds_the_table(tmp_path):
    module = Tables()
    fi = tpufi.instrument(module)
    fi.save(tmp_path / "module", X)
    loaded = tf.saved_model.load(str(tmp_path / "module"))
    nothing = disarmed()
    outputs, _ = loaded.armed(X, nothing.faults, nothing.words)
    assert_same(outputs["y"], module(X)["y"])
    assert outputs["found"].numpy().tolist() == [6.0, -2.0]
    alone = tpufi.instrument(lambda x: module(x))
    with pytest.raises(tpufi.InputError, match="a tf.Module that holds its tables"):
        alone.save(tmp_path / "alone", X)
    assert not (tmp_path / "alone").exists()


def test_blocks_do_not_nest_and_nothing_works_after_detaching():
    fi = _armed()
    fault = flip(fi.sites[0].id, 0, 0)
    with fi.injected(fault), pytest.raises(tpufi.InputError, match="on already"):
        fi.injected(fault).__enter__()
    assert not fi.enabled
    assert fi.detach() is halved is fi.detach()
    assert_same(fi(X), halved(X))
    with pytest.raises(tpufi.InputError, match="instrument the program again"):
        fi.run([fault], X)


def test_an_error_in_a_block_turns_injections_off():
    fi = _armed()
    with pytest.raises(RuntimeError), fi.injected(flip(fi.sites[0].id, 0, 0)):
        raise RuntimeError
    assert not fi.enabled
    assert_same(fi(X), halved(X))
