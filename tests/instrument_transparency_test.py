# SPDX-License-Identifier: Apache-2.0
"""Sites without faults change nothing, layer by layer; faults do what is known."""

import numpy as np
import pytest
import tensorflow as tf

import tpufi
from tests.instrument_checks import assert_same, check_flip, check_off
from tpufi.contrib.tensorfi.injector import TensorFI
from tpufi.instrument import SiteFault, flip

keras = tf.keras
layers = keras.layers
IMAGE, SEQUENCE, VECTOR = (8, 8, 4), (5, 6), (7,)
LAYERS = {
    "conv": (IMAGE, lambda: layers.Conv2D(3, 3, 2, "same")),
    "dilated": (IMAGE, lambda: layers.Conv2D(3, 3, dilation_rate=2)),
    "grouped": (IMAGE, lambda: layers.Conv2D(4, 3, groups=2)),
    "transposed": (IMAGE, lambda: layers.Conv2DTranspose(3, 3, 2)),
    "depthwise": (IMAGE, lambda: layers.DepthwiseConv2D(3)),
    "separable": (IMAGE, lambda: layers.SeparableConv2D(3, 3)),
    "batch norm": (IMAGE, lambda: layers.BatchNormalization()),
    "layer norm": (IMAGE, lambda: layers.LayerNormalization()),
    "group norm": (IMAGE, lambda: layers.GroupNormalization(2)),
    "max pool": (IMAGE, lambda: layers.MaxPooling2D(2)),
    "average pool": (IMAGE, lambda: layers.AveragePooling2D(2)),
    "global pool": (IMAGE, lambda: layers.GlobalMaxPooling2D()),
    "upsampling": (IMAGE, lambda: layers.UpSampling2D(2, interpolation="bilinear")),
    "dense": (VECTOR, lambda: layers.Dense(4, activation="gelu")),
    "softmax": (VECTOR, lambda: layers.Softmax()),
    "elu": (VECTOR, lambda: layers.ELU()),
    "swish": (VECTOR, lambda: layers.Activation("silu")),
    "conv1d": (SEQUENCE, lambda: layers.Conv1D(3, 2)),
    "lstm": (SEQUENCE, lambda: layers.LSTM(3)),
    "gru": (SEQUENCE, lambda: layers.GRU(3, return_sequences=True)),
    "bidirectional": (SEQUENCE, lambda: layers.Bidirectional(layers.LSTM(2))),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize(
    "compiled", [False, pytest.param(True, marks=pytest.mark.slow)]
)
def test_a_layer_keeps_its_bits(name, compiled):
    keras.utils.set_random_seed(9)
    shape, make = LAYERS[name]
    inputs = keras.Input(shape)
    model = keras.Model(inputs, make()(inputs))
    x = tf.random.stateless_normal((2, *shape), (1, 2))
    every = [{"op": "*", "dtype": "float32"}]
    exclude = [{"op": "Const"}] if _has_constants(model, x) else []
    fi = tpufi.instrument(
        model, sites=every, exclude=exclude, jit_compile=compiled or None
    )
    if compiled:
        # XLA contracts products and sums where no site keeps them apart.
        golden = fi.run((), x).outputs
        np.testing.assert_allclose(golden, model(x), rtol=2e-5, atol=2e-6)
    else:
        check_off(fi, model, x)
    check_flip(fi, fi.armed(x).sites[-1], 0, 31, x)
    assert fi.traces == 1


def _has_constants(model: keras.Model, x: tf.Tensor) -> bool:
    sites = tpufi.instrument(model, sites=[{"op": "*"}]).armed(x).sites
    return any(s.op == "Const" and s.dtype == "float32" for s in sites)


def test_a_linear_regression_trains_to_the_same_cost_with_the_injector(tmp_path):
    x = np.linspace(0, 4, 17, dtype=np.float32)
    costs = []
    for attached in (False, True):
        w, b = tf.Variable(0.5), tf.Variable(0.1)

        @tf.function
        def step(x, y, w=w, b=b):
            with tf.GradientTape() as tape:
                cost = tf.reduce_mean(tf.square(w * x + b - y))
            for v, gradient in zip((w, b), tape.gradient(cost, (w, b)), strict=True):
                v.assign_sub(0.01 * gradient)
            return cost

        config = {"Ops": ["ALL = 1"], "InjectMode": "errorRate"}
        run = TensorFI(step, config, tmp_path) if attached else step
        for _ in range(50):
            cost = run(tf.constant(x), tf.constant(2 * x + 1))
        costs.append(cost)
    assert_same(costs[1], costs[0])


@pytest.fixture(scope="module")
def trained():
    """A small classifier of two rings of points, and points that it gets right."""
    keras.utils.set_random_seed(11)
    rng = np.random.default_rng(5)
    angle, ring = rng.uniform(0, 2 * np.pi, 600), rng.integers(0, 2, 600)
    radius = 1 + ring + rng.normal(0, 0.1, 600)
    x = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).astype("float32")
    model = keras.Sequential(
        [
            keras.Input((2,)),
            layers.Dense(16, activation="relu"),
            layers.Dense(16, activation="relu"),
            layers.Dense(2),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.02), loss)
    model.fit(x, ring, epochs=8, batch_size=50, verbose=0)
    right = np.argmax(model(x), -1) == ring
    assert right.mean() > 0.95
    return model, tf.constant(x[right][:64]), ring[right][:64]


def test_errors_come_from_high_exponent_bits_not_from_the_mantissa(trained):
    model, x, labels = trained
    fi = tpufi.instrument(model, sites=["MatMul"])
    fi.armed(x)
    site = fi.sites[1]
    wrong = {}
    for bits in (range(0, 8), range(29, 31)):
        faulty = 0
        for element in range(0, site.size, 13):
            for bit in bits:
                run = fi.run([flip(site.id, element, bit)], x)
                faulty += int((np.argmax(run.outputs, -1) != labels).any())
        wrong[bits] = faulty / len(range(0, site.size, 13)) / len(bits)
    low, high = wrong.values()
    assert low == 0 and high > 0.1


def test_errors_grow_with_the_number_of_flips(trained):
    model, x, labels = trained
    fi = tpufi.instrument(model, sites=["MatMul"])
    fi.armed(x)
    site = fi.sites[0]
    rng = np.random.default_rng(3)
    shares = []
    for amount in (4, 40, 400):
        wrong = 0
        for _ in range(12):
            elements = rng.choice(site.size, amount, replace=False).tolist()
            words = [1 << int(bit) for bit in rng.integers(0, 32, amount)]
            run = fi.run([SiteFault(site.id, elements, -1, words)], x)
            wrong += (np.argmax(run.outputs, -1) != labels).mean()
        shares.append(wrong / 12)
    assert shares[0] < shares[1] < shares[2]
