# SPDX-License-Identifier: Apache-2.0
"""Faults in a Keras model's own predict, evaluate, fit and train_step."""

import warnings

import numpy as np
import pytest
import tensorflow as tf

import tpufi
from tpufi import InjectionCallback, InputError, flip, replace, zero

layers = tf.keras.layers
X = np.random.default_rng(1).normal(size=(12, 6, 6, 1)).astype(np.float32)
Y = np.arange(12) % 3
COMPILED = ("train_function", "test_function", "predict_function")


def model_of(jit_compile: bool = False, **how) -> tf.keras.Model:
    tf.keras.utils.set_random_seed(1)
    model = tf.keras.Sequential(
        [
            tf.keras.Input((6, 6, 1)),
            layers.Conv2D(2, 3, activation="relu", name="stem"),
            layers.Flatten(),
            layers.Dense(3, name="head"),
        ]
    )
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, jit_compile=jit_compile, **how)
    return model


def site_of(fi, op: str, *args):
    return next(s for s in fi.armed(*args).sites if s.op == op)


def kept(model) -> dict:
    return {name: vars(model).get(name) for name in ("call", *COMPILED)}


@pytest.mark.parametrize("jit_compile", [False, True])
def test_predict_is_injected_while_the_program_is_attached(jit_compile):
    model = model_of(jit_compile)
    golden = model.predict(X, batch_size=4, verbose=0)
    before = kept(model)
    fi = tpufi.instrument(model)
    fault = replace(site_of(fi, "MatMul", X[:4]), [(1, 2)], [100.0])
    with fi.attach():
        assert (model.predict(X, batch_size=4, verbose=0) == golden).all()
        with fi.injected(fault) as injections:
            faulty = model.predict(X, batch_size=4, verbose=0)
        assert (model.predict(X, batch_size=4, verbose=0) == golden).all()
    assert [s.times for s in injections] == [3]  # Each of the three batches.
    assert np.argwhere(faulty != golden).tolist() == [[1, 2], [5, 2], [9, 2]]
    assert kept(model) == before
    assert (model.predict(X, batch_size=4, verbose=0) == golden).all()


def test_a_call_and_evaluate_are_injected_in_place():
    model = model_of()
    golden = model.evaluate(X, Y, verbose=0)
    fi = tpufi.instrument(model)
    fault = replace(site_of(fi, "MatMul", X), [0], [-1e4])
    with fi.attach(), fi.injected(fault) as injections:
        faulty = model.evaluate(X, Y, verbose=0)
        assert model(X)[0, 0] < -9e3
    assert faulty > 100 * golden and sum(s.times for s in injections) == 2
    assert model.evaluate(X, Y, verbose=0) == golden


@pytest.mark.parametrize("jit_compile", [False, True])
def test_fit_runs_the_instrumented_train_step(jit_compile):
    golden, model = model_of(jit_compile), model_of(jit_compile)
    how = {"batch_size": 12, "verbose": 0, "shuffle": False}
    own = model.train_step
    # XLA takes its time for each site.
    sites = ["MatMul", "Conv2DBackpropFilter"] if jit_compile else None
    fi = tpufi.instrument(model.train_step, sites=sites)
    site = site_of(fi, "Conv2DBackpropFilter", (X, Y))
    with fi.attach(), fi.injected(zero(site, range(9))) as injections:
        model.fit(X, Y, **how)
    assert [s.times for s in injections] == [1]
    assert model.train_step == own and "train_step" not in vars(model)
    golden.fit(X, Y, **how)
    ours, theirs = (m.get_weights() for m in (model, golden))
    changed = [not np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True)]
    assert changed == [True, False, False, False]


def test_the_callback_injects_into_one_step_of_fit():
    golden, model = model_of(), model_of()
    how = {"batch_size": 4, "epochs": 2, "verbose": 0, "shuffle": False}
    whole = golden.fit(X, Y, **how).history["loss"]
    fi = tpufi.instrument(model.train_step)
    site = site_of(fi, "BiasAddGrad", (X[:4], Y[:4]))
    fault = replace(site, [0], [50.0])
    callback = InjectionCallback(fi, fault, epoch=1, step=0)
    history = model.fit(X, Y, callbacks=[callback], **how).history["loss"]
    (injection,) = callback.injections
    assert injection.times == 1 and injection.faulty_values.tolist() == [50.0]
    assert history[0] == whole[0] and history[1] != whole[1]
    assert "train_step" not in vars(model)
    trained = model.train_function
    model.fit(X, Y, **how)
    assert model.train_function is trained


def test_the_callback_says_what_fit_cannot_do():
    model, other = model_of(steps_per_execution=2), model_of()
    fi = tpufi.instrument(model.train_step)
    fault = zero(site_of(fi, "BiasAddGrad", (X, Y)), [0])
    with pytest.raises(InputError, match="compile the model with steps_per_execution="):
        model.fit(X, Y, verbose=0, callbacks=[InjectionCallback(fi, fault)])
    with pytest.raises(InputError, match="fit trains the model .*; instrument its"):
        other.fit(X, Y, verbose=0, callbacks=[InjectionCallback(fi, fault)])
    with pytest.raises(InputError, match="epoch 0, step -1: both count from 0"):
        InjectionCallback(fi, fault, step=-1)
    fi = tpufi.instrument(other.train_step)
    late = InjectionCallback(fi, fault, epoch=3)
    with pytest.warns(UserWarning, match="epoch 3, step 0: fit had no such step"):
        other.fit(X, Y, verbose=0, callbacks=[late])


def test_a_block_that_ends_without_a_call_names_attach():
    model = model_of()
    fi = tpufi.instrument(model)
    fault = flip(site_of(fi, "MatMul", X), 0, 30)
    told = r"not called: predict, evaluate and fit call the Keras model itself, and .*"
    with pytest.warns(UserWarning, match=told + r"within `with fi.attach\(\):`"):
        with fi.injected(fault):
            model.predict(X, verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with fi.attach(), fi.injected(fault):
            model.predict(X, verbose=0)


def test_a_model_has_one_program_attached_and_detach_removes_it():
    model = model_of()
    model.predict(X, verbose=0)
    before = kept(model)
    fi, second = tpufi.instrument(model), tpufi.instrument(model.predict_step)
    attachment = fi.attach()
    for again in (fi, second):
        with pytest.raises(InputError, match=r"attached; remove\(\) that one first"):
            again.attach()
    attachment.remove()
    attachment.remove()
    assert kept(model) == before
    second.attach()
    assert second.detach() == model.predict_step
    assert kept(model) == before
    with pytest.raises(InputError, match="the sites were taken out"):
        second.attach()
    with pytest.raises(InputError, match="instrument a Keras model or its train_step"):
        tpufi.instrument(tf.nn.relu).attach()


def test_a_method_is_given_back_after_an_exception():
    model = model_of()
    before = kept(model)
    fi = tpufi.instrument(model)
    with pytest.raises(ZeroDivisionError), fi.attach():
        raise ZeroDivisionError
    assert kept(model) == before
