# SPDX-License-Identifier: Apache-2.0
"""Detectors around `model.fit` and around a training step of the user."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf

import tpufi
from tpufi.data import load_dataset
from tpufi.detect import ProtectedStep, Sentinel, detector
from tpufi.detect.recovery import PERSISTENT, TRANSIENT
from tpufi.detect.step_view import StepView, positions_of
from tpufi.errors import InputError

BATCH = 16
FASHION = pathlib.Path("/usr/share/datasets/fashion-mnist")


def _real_images() -> tuple[np.ndarray, np.ndarray]:
    """Return images of Fashion-MNIST, where it is installed; else made ones."""
    dataset = load_dataset("fashion-mnist" if FASHION.is_dir() else "synthetic:64")
    images = np.asarray(dataset.train_images[:64], np.float32)
    return images, np.asarray(dataset.train_labels[:64])


def _model(optimizer="adam") -> tf.keras.Model:
    tf.keras.utils.set_random_seed(3)
    layers = tf.keras.layers
    model = tf.keras.Sequential(
        [
            tf.keras.Input(X.shape[1:]),
            layers.Conv2D(4, 3, strides=4, activation="relu"),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dropout(0.2),
            layers.Dense(10),
        ]
    )
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss)
    return model


X, Y = _real_images()


def _fit(model, *callbacks, epochs=2):
    return model.fit(
        X, Y, batch_size=BATCH, epochs=epochs, shuffle=False, verbose=0,
        callbacks=list(callbacks),
    )  # fmt: skip


def _values(model) -> list[np.ndarray]:
    found = (*model.variables, *model.optimizer.variables)
    return [v.numpy().copy() for v in found]


def _same(a, b) -> bool:
    return all(x.tobytes() == y.tobytes() for x, y in zip(a, b, strict=True))


@pytest.fixture(scope="module")
def golden() -> list[np.ndarray]:
    model = _model()
    _fit(model)
    return _values(model)


def _flip(model, bit=30):
    """Return the instrumented step and a flip in the gradient of the dense kernel."""
    fi = tpufi.instrument(model.train_step, sites=[{"op": "MatMul"}])
    armed = fi.armed((tf.constant(X[:BATCH]), tf.constant(Y[:BATCH])))
    last = [s for s in armed.sites if s.direction == "backward"][-1]
    return fi, tpufi.flip(last, 5, bit)


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "rmsprop"])
def test_a_fit_without_a_fault_has_the_bits_of_one_without_a_sentinel(optimizer):
    plain, watched = _model(optimizer), _model(optimizer)
    sentinel = Sentinel()
    _fit(plain)
    history = _fit(watched, sentinel)
    assert sentinel.incidents == [] and len(history.epoch) == 2
    assert _same(_values(plain), _values(watched))
    assert "state_checksum" in sentinel.scores
    assert ("gradient_norm_z_score" in sentinel.scores) == (optimizer != "rmsprop")


def test_a_transient_flip_in_fit_is_undone_bit_for_bit(golden):
    model, sentinel = _model(), Sentinel()
    fi, flip = _flip(model)
    injection = tpufi.InjectionCallback(fi, flip, epoch=1, step=1)
    _fit(model, injection, sentinel)
    assert injection.injections[0].times == 1
    (incident,) = sentinel.incidents
    assert (incident.kind, incident.step, incident.first) == (TRANSIENT, 5, 4)
    assert _same(_values(model), golden)


def test_a_persistent_flip_in_fit_comes_back_and_ends_it(golden):
    model, sentinel = _model(), Sentinel()
    fi, flip = _flip(model)
    with fi.attach(), fi.injected(flip):
        history = _fit(model, sentinel)
    (incident,) = sentinel.incidents
    assert (incident.kind, incident.step) == (PERSISTENT, 0)
    assert "history_bounds" in incident.detectors
    assert len(history.epoch) == 1  # Ended in the first epoch, at its first step.
    before = _model()
    before.optimizer.build(before.trainable_variables)
    assert _same(_values(model), _values(before))


@pytest.mark.parametrize(("on_alarm", "epochs"), [("stop", 1), ("report", 2)])
def test_an_alarm_stops_or_is_only_reported_if_asked(on_alarm, epochs):
    model, sentinel = _model(), Sentinel(on_alarm=on_alarm)
    fi, flip = _flip(model)
    injection = tpufi.InjectionCallback(fi, flip, epoch=0, step=2)
    history = _fit(model, injection, sentinel)
    assert len(history.epoch) == epochs
    assert sentinel.incidents[0].step == 2
    large = max(np.abs(v).max() for v in _values(model) if v.dtype.kind == "f")
    assert (not large <= 1e6) == (on_alarm == "report")


def test_the_step_of_a_fit_is_traced_once():
    model, traces = _model(), []
    own = model.compute_loss

    def counted(*args, **kwargs):
        traces.append(1)
        return own(*args, **kwargs)

    model.compute_loss = counted
    _fit(model, Sentinel())
    assert len(traces) == 1


def test_what_a_model_does_not_offer_is_refused():
    with pytest.raises(InputError, match="on_alarm 'shout'; expected one of restore"):
        Sentinel(on_alarm="shout")
    with pytest.raises(InputError, match="replica_outlier reads replicas"):
        _fit(_model(), Sentinel([detector("replica_outlier")]))
    with pytest.raises(InputError, match="update_jump reads gradients"):
        _fit(_model("rmsprop"), Sentinel([detector("update_jump")]))


def _step(optimizer, weights, spike: tf.Variable):
    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(x @ weights[0] + weights[1] - y))
        gradients = tape.gradient(loss, weights)
        gradients[0] += spike  # What a fault may have done.
        optimizer.apply_gradients(zip(gradients, weights, strict=True))
        return {"loss": loss}

    return step


def _run(spiked: dict[int, float], persistent: bool = False):
    tf.keras.utils.set_random_seed(4)
    rng = np.random.default_rng(4)
    weights = [tf.Variable(rng.normal(size=(3, 2)).astype("float32")),
               tf.Variable(tf.zeros([2]))]  # fmt: skip
    optimizer, spike = tf.keras.optimizers.Adam(0.01), tf.Variable(0.0)
    step, calls = _step(optimizer, weights, spike), []

    def once(x, y):
        found = step(x, y)
        calls.append(1)
        if not persistent:
            spike.assign(0.0)
        return found

    protected = ProtectedStep(once, weights, optimizer=optimizer)
    for number in range(40):
        x = rng.normal(size=(4, 3)).astype("float32")
        spike.assign(spiked.get(number, 0.0))
        protected(x, x[:, :2])
        if protected.stopped:
            break
    return [w.numpy() for w in weights], protected, len(calls)


def test_a_step_of_the_user_recovers_from_a_spike():
    golden, _, _ = _run({})
    found, protected, calls = _run({30: 1e6})
    assert [(i.kind, i.step) for i in protected.incidents] == [(TRANSIENT, 30)]
    assert _same(golden, found) and calls == 42


def test_a_step_of_the_user_with_a_persistent_spike_is_to_stop():
    _, protected, _ = _run({30: 1e6}, persistent=True)
    assert protected.stopped
    assert [(i.kind, i.step) for i in protected.incidents] == [(PERSISTENT, 30)]


def test_an_embedding_has_no_bound_and_the_other_weights_keep_theirs():
    layers = tf.keras.layers
    model = tf.keras.Sequential(
        [
            tf.keras.Input([6], dtype="int32"),
            layers.Embedding(20, 4),
            layers.LayerNormalization(),
            layers.Dense(3),
        ]
    )
    model.compile("adam", "mse")
    weights = model.trainable_variables
    positions = positions_of(model)
    assert len(positions) == len(weights) - 1
    assert set(positions.values()) == {6}
    model.optimizer.build(weights)
    view = StepView.of_optimizer(weights, model.optimizer, [])
    network = view.network(8, positions)
    (left_out,) = set(network.weights) - set(network.terms)
    assert "embedding" in left_out
    assert set(network.terms.values()) == {8 * 6}
