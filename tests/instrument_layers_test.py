# SPDX-License-Identifier: Apache-2.0
"""TensorFI2's `inject`: weights and outputs of layers, one of them or all."""

import numpy as np
import pytest
import tensorflow as tf

import tpufi
from tests.instrument_checks import assert_same
from tpufi.contrib.tensorfi.any_plan import read_plan
from tpufi.contrib.tensorfi.layer_injection import inject
from tpufi.element import to_words

keras = tf.keras
X = tf.random.stateless_normal((2, 8, 8, 1), (4, 4))


@pytest.fixture(scope="module")
def model():
    """A model that is not sequential."""
    keras.utils.set_random_seed(6)
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(3, 3, activation="relu", padding="same")(inputs)
    y = keras.layers.Conv2D(3, 3, padding="same")(x)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.add([x, y]))
    return keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(x))


def states(model) -> list[np.ndarray]:
    return [v.numpy() for v in model.trainable_variables]


def test_zeros_hit_the_floor_of_the_percentage_of_every_variable(model):
    before = states(model)
    config = {"Target": "layer_states", "Mode": "multiple", "Type": "zeros",
              "Amount": 10}  # fmt: skip
    with inject(model, config, x_test=X) as faulty:
        injected = states(model)
        for old, new in zip(before, injected, strict=True):
            assert (new.reshape(-1) == 0).sum() >= old.size // 10
            assert (old != new).sum() <= old.size // 10
        assert [len(r.elements) for r in faulty.records] == [
            v.size // 10 for v in before if v.size >= 10
        ]
        assert_same(faulty.outputs, model(X))
    for old, new in zip(before, states(model), strict=True):
        np.testing.assert_array_equal(old, new)


def test_legacy_lets_the_percentage_shrink_as_tensorfi2_does(model):
    config = {"Target": "layer_states", "Mode": "multiple", "Type": "zeros",
              "Amount": 20, "legacy": True}  # fmt: skip
    with inject(model, config, x_test=X) as faulty:
        # 27 weights: 20% are 5; then 5% of 3 biases: 0; and 0% of all others.
        assert [len(r.elements) for r in faulty.records] == [5]


@pytest.mark.parametrize(("bit", "distances"), [("N", None), (31, {1 << 31})])
def test_flips_of_one_variable_change_distinct_elements(bit, distances, model):
    before = states(model)
    config = {"Target": "layer_states", "Mode": "single", "Type": "bitflips",
              "Amount": 3, "Bit": bit, "Seed": 5}  # fmt: skip
    faulty = inject(model, config, x_test=X)
    (record,) = faulty.records
    flips = (record.golden ^ record.faulty).tolist()
    assert len(set(record.elements.tolist())) == 3
    assert all(int.bit_count(flip) == 1 for flip in flips)
    assert distances is None or set(flips) == distances
    changed = [
        (to_words(a) != to_words(b)).sum()
        for a, b in zip(before, states(model), strict=True)
    ]
    assert sorted(changed)[-1] == 3 and sum(changed) == 3
    faulty.restore()
    faulty.restore()
    assert_same(
        [tf.constant(v) for v in states(model)], [tf.constant(v) for v in before]
    )


@pytest.mark.parametrize("mode", ["single", "multiple"])
def test_outputs_of_layers_are_faulty_the_last_one_too(mode, model):
    config = {"Target": "layer_outputs", "Mode": mode, "Type": "random", "Amount": 2}
    injected = set()
    for run in range(12):
        faulty = inject(model, config, x_test=X, run=run)
        layers = [r.site.layer for r in faulty.records]
        injected |= set(layers)
        elements = sum(len(r.elements) for r in faulty.records)
        assert elements == 2 * (1 if mode == "single" else len(set(layers)))
        assert faulty.labels.shape == (2,)
    kinds = {name.split("/")[-1].rstrip("_0123456789") for name in injected}
    assert {"conv2d", "dense", "add"} <= kinds


def test_a_layer_configuration_draws_for_each_call(model):
    config = {"Target": "layer_outputs", "Mode": "single", "Type": "bitflips",
              "Amount": 1, "Bit": 30, "Seed": 4}  # fmt: skip
    fi = tpufi.instrument(model, read_plan(config))
    with fi.injected() as injections:
        for _ in range(6):
            fi(X)
    assert len(injections) == 6
    assert len({(s.site.id, *s.elements.tolist()) for s in injections}) > 1
    assert all((s.golden ^ s.faulty).tolist() == [1 << 30] for s in injections)
    assert_same(fi(X), model(X))
    with pytest.raises(tpufi.InputError, match="faults in weights outlast a call"):
        read_plan(config | {"Target": "layer_states"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"Target": "layer_state"}, "'layer_state'; expected one of layer_states"),
        ({"Mode": "many"}, "expected one of"),
        ({"Type": "bitflip"}, "expected one of bitflips"),
        ({"Type": "bitflips"}, "no key 'Bit'"),
        ({"Type": "bitflips", "Bit": 32}, r"Bit: 32 is outside \[0, 32\) of float32"),
        ({"Amount": 10**6}, "elements, fewer than 1000000; lower it"),
        ({"Amount": 101, "Type": "zeros"}, "from 0 to 100"),
        ({"Bit": 3}, "Bit is for Type bitflips"),
        ({"Bits": 3}, "unknown key 'Bits'"),
    ],
)
def test_a_wrong_configuration_changes_nothing(changes, message, model):
    before = states(model)
    good = {"Target": "layer_states", "Mode": "multiple", "Type": "random", "Amount": 1}
    with pytest.raises(tpufi.InputError, match=message):
        inject(model, good | changes, x_test=X)
    for old, new in zip(before, states(model), strict=True):
        np.testing.assert_array_equal(old, new)
