# SPDX-License-Identifier: Apache-2.0
"""A clean prefix computed once: runs after it have the bits of whole runs."""

import numpy as np
import pytest
import tensorflow as tf

import tpufi
from tests.instrument_checks import assert_same
from tpufi.instrument import SiteFault, flip
from tpufi.instrument.prefix import CleanPrefix, CutProgram

keras = tf.keras
X = tf.random.stateless_normal((2, 6, 6, 2), (1, 2))


def network() -> keras.Model:
    """A network with a shortcut, a pooling and two outputs."""
    keras.utils.set_random_seed(12)
    layers = keras.layers
    x = inputs = keras.Input((6, 6, 2))
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    y = layers.Conv2D(4, 3, padding="same")(layers.BatchNormalization()(x))
    x = layers.ReLU()(layers.Add()([x, y]))
    hidden = layers.GlobalMaxPooling2D()(x)
    return keras.Model(inputs, [layers.Dense(3, activation="softmax")(hidden), hidden])


W = tf.Variable(tf.random.stateless_normal((2, 2), (3, 4)))


@tf.function
def scaled(x):
    return tf.tanh(x @ W)


@tf.function
def with_control_flow(x):
    y = tf.cond(tf.reduce_sum(x) > 0, lambda: scaled(x), lambda: tf.exp(-x))
    for _ in tf.range(2):
        y = scaled(y) + x
    flags = tf.cast(y > 0.1, tf.int32)
    return {"y": y, "none": None, "flags": flags, "early": tf.reduce_max(scaled(x))}


PROGRAMS = {"network": network(), "control flow": with_control_flow}


@pytest.mark.parametrize("name", PROGRAMS)
def test_runs_after_a_clean_prefix_have_the_bits_of_whole_runs(name):
    kinds = [{"dtype": "float32"}, {"op": "Greater"}][: 1 + (name != "network")]
    fi = tpufi.instrument(PROGRAMS[name], sites=kinds, exclude=[{"op": "Const"}])
    cuts = CutProgram(fi.armed(X), 5)
    prefix = CleanPrefix(fi, cuts, (X,))
    assert_same(prefix.golden, fi.strike((), X).outputs)
    used = set()
    for number, site in enumerate([*fi.sites, *fi.sites[::-2]]):
        element = number % (site.size or 1)
        fault = flip(site.id, element, 30 if site.dtype == "float32" else 0)
        later = fi.sites[-1]
        second = SiteFault(later.id, [0], 0, [0])
        for faults in ([fault], [fault, second][: 1 + (site != later)]):
            whole, part = fi.strike(faults, X), prefix.strike(faults)
            assert_same(part.outputs, whole.outputs)
            tf.nest.assert_same_structure(part.outputs, whole.outputs)
            entries = [[s.entry() for s in run.strikes] for run in (part, whole)]
            assert entries[0] == entries[1]
        used.add(cuts.number([site.id]))
    assert len(used) >= 4
    assert_same(prefix.strike(()).outputs, prefix.golden)
    assert fi.traces == 1


def test_what_comes_before_a_cut_is_not_computed_again():
    fi = tpufi.instrument(network(), sites=["Relu", "MatMul"])
    cuts = CutProgram(fi.armed(X), 3)
    last = cuts.number([fi.sites[-1].id])
    before, after = ({o.type for o in f.graph.get_operations()}
                     for f in cuts.halves(last))  # fmt: skip
    assert {"Conv2D", "Relu", "Max"} <= before
    assert "MatMul" in before  # Its clean product crosses; a fault comes in behind it.
    assert not {"Conv2D", "Relu", "Max", "MatMul"} & after
    assert {"BiasAdd", "Softmax"} <= after
    assert cuts.halves(last) == cuts.halves(last)  # Made once.


@pytest.mark.parametrize(
    ("program", "how", "message"),
    [
        (
            lambda x: W.assign_add(x[0, 0, :2] * 0.0),
            {},
            "a state or draws, at Ass",
        ),
        (lambda x: x + tf.random.normal((2,)), {}, "at random_normal/RandomStandardN"),
        (tf.function(lambda x: scaled(x) + tf.random.uniform(())), {}, "RandomUniform"),
        (scaled, {"jit_compile": True}, "XLA compiles this program"),
    ],
)
def test_a_program_that_cannot_be_run_in_part_is_refused(program, how, message):
    fi = tpufi.instrument(program, **how)
    with pytest.raises(tpufi.InputError, match=message):
        CutProgram(fi.armed(X))


def test_wrong_use_is_told():
    fi = tpufi.instrument(scaled)
    with pytest.raises(tpufi.InputError, match="0 cuts; give 1 or more"):
        CutProgram(fi.armed(X), 0)
    prefix = CleanPrefix(fi, CutProgram(fi.armed(X)), (X,))
    with pytest.raises(tpufi.InputError, match="site 999 is not armed"):
        prefix.strike([flip(999, 0, 0)])


def test_a_part_that_rounds_in_another_way_is_refused(monkeypatch):
    fi = tpufi.instrument(network())
    prefix = CleanPrefix(fi, CutProgram(fi.armed(X)), (X,))
    wrong = [tf.constant(np.nextafter(t, 9)) for t in prefix._golden]
    monkeypatch.setattr(prefix, "_golden", wrong)
    with pytest.raises(tpufi.InputError, match="rounds in another way than as a whole"):
        prefix.strike([flip(fi.sites[-1].id, 0, 0)])
