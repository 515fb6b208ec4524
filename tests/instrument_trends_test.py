# SPDX-License-Identifier: Apache-2.0
"""Published trends on real data: a small LeNet on Fashion-MNIST, a logistic regression.

They stand for TensorFI's and TensorFI2's own experiments (I1 to I4, I6), whose weights
and data files cannot be had: the networks are trained here.
"""

import csv

import numpy as np
import pytest
import statsmodels.api as sm
import tensorflow as tf

import tpufi
from tests.instrument_checks import assert_same
from tpufi.contrib.tensorfi.injector import TensorFI
from tpufi.data.load import load_dataset
from tpufi.errors import InputError
from tpufi.instrument import SiteFault

keras = tf.keras
layers = keras.layers


@pytest.fixture(scope="module")
def lenet():
    """A LeNet trained on 6,000 images, 500 test images, and their labels."""
    try:
        data = load_dataset("fashion-mnist")
    except InputError as error:
        pytest.skip(str(error))
    keras.utils.set_random_seed(3)

    def grey(images):
        return images[:, 2:30, 2:30, :1].astype(np.float32) / 255

    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(6, 5, padding="same", activation="relu", name="first"),
            layers.MaxPooling2D(2),
            layers.Conv2D(16, 5, activation="relu", name="second"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(84, activation="relu", name="dense"),
            layers.Dense(10, name="late"),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(2e-3), loss)
    x, y = grey(data.train_images[:6000]), data.train_labels[:6000]
    model.fit(x, y, epochs=3, batch_size=100, verbose=0)
    return model, tf.constant(grey(data.test_images[:500])), data.test_labels[:500]


def wrong(model, lenet, layer: str, op: str, amount: int, bits, runs: int) -> float:
    """Share of images, right without a fault, that flips in each make wrong."""
    _, x, labels = lenet
    right = np.argmax(model(x), -1) == labels
    x, labels = x[right][:100], labels[right][:100]
    fi = tpufi.instrument(model, sites=[{"op": op, "layer": f"*/{layer}_1"}])
    (site,) = fi.armed(x).sites
    each = site.size // len(labels)
    rng = np.random.default_rng(amount)
    failed = 0.0
    for _ in range(runs):
        elements = np.concatenate(
            [i * each + rng.choice(each, amount, replace=False) for i in range(100)]
        )
        words = [1 << int(bit) for bit in rng.choice(bits, len(elements))]
        run = fi.run([SiteFault(site.id, elements.tolist(), -1, words)], x)
        outputs = run.outputs.numpy()
        changed = np.argmax(outputs, -1) != labels
        failed += (changed | np.isnan(outputs).any(-1)).mean()
    return failed / runs


@pytest.mark.slow
def test_a_trained_network_keeps_its_accuracy_with_the_injector(lenet):
    model, x, labels = lenet
    accuracy = np.mean(np.argmax(model(x), -1) == labels)
    assert accuracy > 0.75
    fi = tpufi.instrument(model)
    assert_same(fi(x), model(x))
    armed = fi.run((), x).outputs
    assert np.mean(np.argmax(armed, -1) == labels) == accuracy


@pytest.mark.slow
def test_high_exponent_bits_fail_and_low_mantissa_bits_do_not(lenet):
    model = lenet[0]
    high = wrong(model, lenet, "second", "Relu", 1, [30], 2)
    low = wrong(model, lenet, "second", "Relu", 1, range(8), 2)
    assert low == 0 and high > 0.2


@pytest.mark.slow
def test_failures_grow_with_the_number_of_flips(lenet):
    model = lenet[0]
    rates = [wrong(model, lenet, "first", "Relu", n, range(32), 2)
             for n in (5, 25, 100)]  # fmt: skip
    assert rates == sorted(rates) and rates[0] < rates[-1]


@pytest.mark.slow
def test_first_convolution_against_late_dense_layer_at_equal_shares(lenet):
    model = lenet[0]
    first = wrong(model, lenet, "first", "Relu", 470, range(32), 1)  # 10 % of 4704.
    late = wrong(model, lenet, "late", "BiasAdd", 1, range(32), 10)  # 10 % of 10.
    assert first > late


def test_a_logistic_regression_writes_the_drop_of_its_accuracy(tmp_path):
    data = sm.datasets.fair.load_pandas().data
    x = data.drop(columns="affairs").to_numpy(np.float32)
    x = (x - x.mean(0)) / x.std(0)
    labels = (data["affairs"] > 0).to_numpy()
    fitted = sm.Logit(labels, sm.add_constant(x)).fit(disp=0).params
    w = tf.constant(fitted[1:, None], tf.float32)
    b = tf.constant(fitted[:1], tf.float32)
    config = {
        "TensorFaultType": "bitFlip-tensor",
        "Ops": ["ADD = 0.5"],
        "InjectMode": "errorRate",
        "Seed": 4,
    }
    fi = TensorFI(lambda x: tf.sigmoid(x @ w + b), config, tmp_path)

    def accuracy(outputs) -> float:
        return float(np.mean((np.asarray(outputs)[:, 0] > 0.5) == labels))

    fi.turnOffInjections()
    clean = accuracy(fi(tf.constant(x)))
    fi.turnOnInjections()
    with open(tmp_path / "accuracy.csv", "w", newline="") as file:
        rows = csv.writer(file)
        for _ in range(12):
            faulty = accuracy(fi(tf.constant(x)))
            rows.writerow((clean, faulty, clean - faulty))
    assert clean > 0.7
    with open(tmp_path / "accuracy.csv") as file:
        table = [tuple(map(float, row)) for row in csv.reader(file)]
    injected = [drop for _, _, drop in table if drop]
    assert 0 < len(injected) < len(table) == 12
    assert all(drop == before - after for before, after, drop in table)
    assert all(drop > 0 for drop in injected)
