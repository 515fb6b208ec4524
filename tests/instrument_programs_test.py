# SPDX-License-Identifier: Apache-2.0
"""One line instruments each kind of program; off is bit-identical, on is as logged."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest
import tensorflow as tf

import tpufi
from tests.instrument_checks import (
    assert_same,
    check_exposed,
    check_flip,
    check_off,
    many_faults,
    spread,
)
from tpufi.instrument import flip

keras = tf.keras
IMAGE = tf.random.stateless_normal((1, 32, 32, 3), (1, 2))
APPLICATIONS = ("ResNet50", "MobileNetV2", "EfficientNetB0", "DenseNet121")


def transformer() -> keras.Model:
    """A small transformer encoder of Keras layers."""
    tokens = keras.Input((6,), dtype="int32")
    x = keras.layers.Embedding(11, 8)(tokens)
    x = x + keras.layers.MultiHeadAttention(2, 4)(x, x)
    x = keras.layers.LayerNormalization()(x)
    x = x + keras.layers.Dense(8)(keras.layers.Dense(16, activation="gelu")(x))
    x = keras.layers.GlobalAveragePooling1D()(keras.layers.LayerNormalization()(x))
    return keras.Model(tokens, keras.layers.Dense(3, activation="softmax")(x))


def check_whole(fi, program, *args, off: bool = True) -> None:
    """Off is bit-identical, a flip at any site is as logged, one trace for 500."""
    if off:
        check_off(fi, program, *args)
    assert_same(fi.run((), *args).outputs, program(*args))
    for site in spread(fi.sites, 40):
        check_flip(fi, site, site.size - 1, 20, *args)
    for fault in many_faults(fi, 500, *args):
        (injection,) = fi.run([fault], *args).injections
        assert injection.times == 1
    assert fi.traces == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", APPLICATIONS)
def test_a_keras_application(name):
    keras.utils.set_random_seed(1)
    make = getattr(keras.applications, name)
    whole = make(weights=None, input_shape=(32, 32, 3), classes=10)
    middle = [v for v in whole.layers if isinstance(v, keras.layers.Conv2D)][5]
    traces = []

    @tf.function
    def program(x):
        traces.append(None)
        return model(x, training=False)

    model = keras.Model(whole.inputs, [whole.outputs[0], middle.output])
    fi = tpufi.instrument(program)
    assert_same(fi(IMAGE), program(IMAGE))
    # In one graph TensorFlow may fuse operations, which rounds in another way; a fault
    # op keeps them apart, so the armed program has the bits of one operation at a time.
    check_whole(fi, lambda x: model(x, training=False), IMAGE, off=False)
    before = len(traces)
    golden = fi.run((), IMAGE).outputs
    site = [s for s in fi.sites if f"/{middle.name}_1/" in f"/{s.layer}/"][-1]
    run = fi.run([flip(site.id, 3, 30)], IMAGE)
    check_exposed(golden[1], run.outputs[1], run.injections[0])
    assert len(traces) == before


@pytest.mark.parametrize("compiled", [False, True])
def test_a_keras_transformer_called_as_it_is(compiled):
    keras.utils.set_random_seed(2)
    model = transformer()
    tokens = tf.constant([[1, 2, 3, 4, 5, 6]])
    fi = tpufi.instrument(model, jit_compile=compiled or None)
    if not compiled:
        check_whole(fi, model, tokens)
        return
    # XLA rounds products that it fuses in its own way, so only close to the program's.
    golden = fi.run((), tokens).outputs
    np.testing.assert_allclose(golden, model(tokens), rtol=1e-5)
    for site in spread(fi.sites, 10):
        check_flip(fi, site, 0, 31, tokens)


def test_a_subclassed_keras_model_that_is_not_built_yet():
    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(3)

        def call(self, x, training=False):
            return self.dense(x) * (2.0 if training else 1.0)

    model = Model()
    fi = tpufi.instrument(model)
    x = tf.random.stateless_normal((2, 4), (3, 4))
    fi.armed(x)
    check_off(fi, model, x)
    assert_same(fi(x, training=True), 2 * model(x))
    golden = fi.run((), x, training=True).outputs
    assert_same(golden, 2 * model(x))
    assert fi.traces == 2


def small_step():
    """Return a training step with Adam, and what makes its state as it was."""
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(4, 3),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
            keras.layers.Flatten(),
            keras.layers.Dense(3),
        ]
    )
    optimizer = keras.optimizers.Adam(0.01)
    optimizer.build(model.trainable_variables)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            value = loss(y, model(x, training=True))
        gradients = tape.gradient(value, model.trainable_variables)
        optimizer.apply_gradients(
            zip(gradients, model.trainable_variables, strict=True)
        )
        return {"loss": value, "gradients": gradients}

    variables = [*model.variables, *optimizer.variables]
    start = [v.value.numpy() for v in variables]

    def state():
        return [tf.convert_to_tensor(v.value) for v in variables]

    def reset():
        for variable, value in zip(variables, start, strict=True):
            variable.assign(value)

    return step, state, reset


def test_a_custom_training_step_with_adam():
    step, state, reset = small_step()
    fi = tpufi.instrument(step)
    x = tf.random.stateless_normal((2, 8, 8, 3), (5, 6))
    y = tf.constant([0, 2])
    own = step(x, y)
    after_own = state()
    reset()
    golden = fi.run((), x, y).outputs
    assert_same(golden, own)
    assert_same(state(), after_own)
    directions = {site.direction for site in fi.sites}
    assert directions == {"forward", "backward", "update"}
    (site,) = [s for s in fi.sites if s.op == "Conv2DBackpropFilter"]
    assert site.direction == "backward"
    reset()
    run = fi.run([flip(site.id, 7, 30)], x, y)
    kernel = golden["gradients"][0], run.outputs["gradients"][0]
    check_exposed(*kernel, run.injections[0])
    for before, after in zip(golden["gradients"][1:], run.outputs["gradients"][1:],
                             strict=True):  # fmt: skip
        assert_same(before, after)
    for fault in many_faults(fi, 500, x, y):
        reset()
        (injection,) = fi.run([fault], x, y).injections
        assert injection.times == 1, injection.site.name
    assert fi.traces == 1


def test_an_lstm_is_faulty_in_one_iteration_of_its_loop():
    keras.utils.set_random_seed(4)
    inputs = keras.Input((5, 3))
    hidden = keras.layers.LSTM(4, return_sequences=True)(inputs)
    model = keras.Model(inputs, [keras.layers.Dense(2)(hidden), hidden])
    fi = tpufi.instrument(model)
    x = tf.random.stateless_normal((2, 5, 3), (7, 8))
    check_off(fi, model, x)
    golden = fi.run((), x).outputs[1].numpy()
    products = [s for s in fi.sites if s.loops == 1 and s.op == "Mul"]
    site = products[-1]  # The cell's output: gate times tanh of the state.
    for iteration in range(5):
        fault = flip(site.id, 3, 31, iterations=(iteration,))
        run = fi.run([fault], x)
        (injection,) = run.injections
        assert injection.times == 1
        faulty = run.outputs[1].numpy()
        before = golden[0, iteration, 3]
        assert faulty[0, iteration, 3] == -before
        np.testing.assert_array_equal(faulty[:, :iteration], golden[:, :iteration])
        np.testing.assert_array_equal(faulty[1], golden[1])
    (injection,) = fi.run([flip(site.id, 3, 31)], x).injections
    assert injection.times == 5
    (injection,) = fi.run([flip(site.id, 3, 31, iterations=(5,))], x).injections
    assert injection.times == 0
    inside = [s for s in fi.sites if s.loops == 1 and ":cond" not in s.layer]
    for number in range(500):
        site = inside[number * 7919 % len(inside)]
        where = number * 31 % site.size
        fault = flip(site.id, where, number % 32, iterations=(number % 5,))
        (injection,) = fi.run([fault], x).injections
        assert injection.times == 1 and injection.elements.tolist() == [where]
        assert (injection.golden ^ injection.faulty).tolist() == [1 << number % 32]
    assert fi.traces == 1


EXPORT = """
import sys, tensorflow as tf
tf.keras.utils.set_random_seed(5)
class Program(tf.Module):
    def __init__(self):
        self.kernel = tf.Variable(tf.random.stateless_normal((3, 3, 2, 4), (1, 1)))
    @tf.function(input_signature=[tf.TensorSpec((None, 6, 6, 2), tf.float32)])
    def __call__(self, x):
        y = tf.nn.relu(tf.nn.conv2d(x, self.kernel, 1, "SAME"))
        return tf.reduce_mean(y, (1, 2)), y
    @tf.function(input_signature=[tf.TensorSpec((None, 6, 6, 2), tf.float32)])
    def named(self, x):
        return {"mean": self(x)[0]}
program = Program()
tf.saved_model.save(program, sys.argv[1], signatures={"named": program.named})
"""


def test_a_saved_model_of_another_process(tmp_path):
    path = tmp_path / "saved"
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(EXPORT), path], check=True,
        capture_output=True,
    )  # fmt: skip
    own = tf.saved_model.load(str(path))
    x = tf.random.stateless_normal((2, 6, 6, 2), (9, 10))
    fi = tpufi.instrument(path)
    check_off(fi, own, x)
    golden = fi.run((), x).outputs[1]
    (site,) = [s for s in fi.sites if s.op == "Relu"]
    assert site.shape == (None, 6, 6, 4)
    run = fi.run([flip(site.id, 100, 29)], x)
    check_exposed(golden, run.outputs[1], run.injections[0])
    for number in range(500):
        fault = flip(fi.sites[number % 3].id, number % 4, number % 32)
        assert fi.run([fault], x).injections[0].times == 1
    assert fi.traces == 1
    named = tpufi.instrument(path, signature="named")
    assert_same(named.run((), x=x).outputs["mean"], own(x)[0])
    with pytest.raises(tpufi.InputError, match="no signature 'nmaed'; it has: named"):
        tpufi.instrument(path, signature="nmaed")


@pytest.mark.parametrize("as_file", [False, True])
def test_a_frozen_graph_of_tensorflow_1(as_file, tmp_path):
    v1 = tf.compat.v1
    graph = tf.Graph()
    with graph.as_default():
        x = v1.placeholder(tf.float32, (None, 4), "x")
        w = tf.constant(np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3))
        hidden = tf.identity(tf.nn.relu(tf.matmul(x, w, name="product")), "hidden")
        tf.nn.softmax(hidden, name="out")
    definition = graph.as_graph_def()
    given = definition
    if as_file:
        given = tmp_path / "frozen.pb"
        given.write_bytes(definition.SerializeToString())
    fi = tpufi.instrument(given, feeds=["x:0"], fetches=["out:0", "product"])
    x = tf.random.stateless_normal((3, 4), (11, 12))

    def own(x):
        with v1.Session(graph=graph) as session:
            out = session.run(["out:0", "product:0"], {"x:0": x.numpy()})
        return [tf.constant(value) for value in out]

    check_off(fi, own, x)
    (site,) = [s for s in fi.sites if s.op == "MatMul"]
    run = fi.run([flip(site.id, 4, 30)], x)
    check_exposed(own(x)[1], run.outputs[1], run.injections[0])
    for number in range(500):
        fault = flip(fi.sites[number % 3].id, number % 9, number % 32)
        assert fi.run([fault], x).injections[0].times == 1
    assert fi.traces == 1
