# SPDX-License-Identifier: Apache-2.0
"""Which sites a selector means: layers of Keras, directions, and hints."""

import pytest
import tensorflow as tf

import tpufi
from tpufi import InputError

layers = tf.keras.layers
X = tf.ones([2, 6, 6, 1])


@pytest.fixture(scope="module")
def model() -> tf.keras.Model:
    inner = tf.keras.Sequential(
        [
            tf.keras.Input((6, 6, 1)),
            layers.Conv2D(2, 3, activation="relu", name="stem"),
            layers.Conv2D(2, 3, name="stem_1"),
            layers.Flatten(name="flat"),
            layers.Dense(3, name="head"),
        ],
        name="inner",
    )
    inputs = tf.keras.Input((6, 6, 1))
    first = layers.Conv2D(1, 3, padding="same", name="stem")
    model = tf.keras.Model(inputs, inner(first(inputs)), name="outer")
    model.compile("sgd", "mse")
    return model


def names(program, sites, *args) -> list[str]:
    fi = tpufi.instrument(program, sites=sites)
    return [site.name for site in fi.armed(*args or (X,)).sites]


def test_a_path_of_keras_finds_the_sites_of_its_layer(model):
    inner = model.get_layer("inner")
    head = [f"outer_1/inner_1/head_1/{op}:0" for op in ("MatMul", "BiasAdd")]
    assert names(model, [{"layer": inner.get_layer("head").path}]) == head
    assert names(model, [{"layer": "head"}]) == head
    assert names(model, [{"layer": "inner/head", "op": "MatMul"}]) == head[:1]
    found = names(model, [{"layer": "inner/stem_1"}])
    assert found and all("/inner_1/stem_1_2/" in name for name in found)


def test_a_layer_as_an_object_means_that_layer_only(model):
    inner = model.get_layer("inner")
    for layer, scope in (
        (model.get_layer("stem"), "outer_1/stem_1/"),
        (inner.get_layer("stem"), "outer_1/inner_1/stem_1/"),
        (inner, "outer_1/inner_1/"),
    ):
        found = names(model, [layer])
        assert found and all(name.startswith(scope) for name in found)
        assert names(model, [{"layer": layer}]) == found
    backward = [{"layer": inner.get_layer("stem"), "direction": "backward"}]
    found = names(model.train_step, backward, (X, tf.ones([2, 3])))
    assert any(name.endswith("Conv2DBackpropFilter:0") for name in found)
    assert all("/outer_1/inner_1/stem_1/" in name for name in found)
    rest = tpufi.instrument(model, exclude=[inner]).armed(X).sites
    assert {site.layer for site in rest} == {"outer_1/stem_1"}


def test_a_selector_that_finds_nothing_names_the_one_that_would(model):
    for sites, told in (
        (
            ["stem"],
            r"no site has {'op': 'stem'}; write {'layer': 'stem'}, which has \d",
        ),
        ([{"layer": "ste"}], r"write {'layer': '\*ste\*'}, which has \d"),
        (["volutio"], r"write {'name': '\*volutio\*'}, which has \d"),
        (["MatMull"], "nearest ops: MatMul, "),
        ([{"layer": "flat"}], "only operations that move values do: add 'op', one of"),
    ):
        with pytest.raises(InputError, match=told) as caught:
            names(model, sites)
        assert "\n" not in str(caught.value)
    found = names(model, [{"layer": "flat", "op": "Reshape"}])
    assert found == ["outer_1/inner_1/flat_1/Reshape:0"]


def test_a_direction_means_operations_that_compute(model):
    fi = tpufi.instrument(model.train_step, sites=[{"direction": "backward"}])
    ops = {site.op for site in fi.armed((X, tf.ones([2, 3]))).sites}
    assert "Conv2DBackpropFilter" in ops
    assert not ops & {"Reshape", "Const", "BroadcastGradientArgs", "Shape", "Cast"}
    every = tpufi.instrument(
        model.train_step, sites=[{"direction": "backward", "op": "Reshape"}]
    )
    assert every.armed((X, tf.ones([2, 3]))).sites


def test_a_keras_file_is_a_program(model, tmp_path):
    model.save(tmp_path / "mine.keras")
    fi = tpufi.instrument(tmp_path / "mine.keras", sites=["MatMul"])
    (site,) = fi.armed(X).sites
    assert fi(X).numpy().tolist() == model(X).numpy().tolist()
    (injection,) = fi.run(tpufi.zero(site, [(0, 0)]), X).injections
    assert injection.times == 1
    (tmp_path / "bad.keras").write_bytes(b"nothing")
    for name in ("bad.keras", "none.keras"):
        with pytest.raises(InputError, match=f"{name}: Keras does not load it: ") as e:
            tpufi.instrument(tmp_path / name)
        assert "\n" not in str(e.value)


def test_a_workload_refuses_a_keras_model(model):
    told = r"Workload mine: model is keras's Functional; a workload is made of tpufi.l"
    with pytest.raises(InputError, match=told) as caught:
        tpufi.Workload("mine", model, None, None, 0.1)
    assert "\n" not in str(caught.value) and "instrument(model)" in str(caught.value)


@pytest.mark.parametrize(
    ("how", "told"),
    [
        (
            {"config": "faults.yaml"},
            r"config 'faults.yaml' is not a plan; tpufi.contrib.",
        ),
        (
            {"config": {"Ops": []}},
            r"config {'Ops': \[\]} is not a plan; tpufi.contrib.",
        ),
        ({"gradient": "mine"}, "gradient 'mine' is unknown; choose straight_through, "),
    ],
)
def test_an_option_that_is_none_is_one_line(how, told):
    with pytest.raises(InputError, match=told) as caught:
        tpufi.instrument(tf.nn.relu, **how)
    assert "\n" not in str(caught.value)
