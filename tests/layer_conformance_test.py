# SPDX-License-Identifier: Apache-2.0
"""Every layer computes what it says, with and without fault sites."""

import importlib
import pkgutil

import numpy as np
import pytest
import tensorflow as tf

from tests.decoder_cases import WRAPPED
from tests.layer_cases import (
    CASES,
    CASES_IN_MODES,
    Case,
    Gated,
    LabelledLoss,
    Values,
)
from tests.layer_program import layer_program
from tests.modes import assert_same_bits
from tests.plain_layers import PLAIN, plain
from tpufi import layers
from tpufi.descriptor import EVERY_REPLICA, replacing
from tpufi.layers import (
    AttentionContext,
    AttentionScores,
    BatchNorm,
    ChannelProduct,
    Conv2D,
    DepthwiseConv2D,
    Dropout,
    Embedding,
    Layer,
    LayerNorm,
    MaxPooling,
    Run,
    SoftmaxLoss,
    StandardisedConv2D,
    ZeroPadding,
)

every_case = pytest.mark.parametrize("case", CASES, ids=str)
# The scope lets the tests of a case follow one another, with its programs in memory.
in_every_mode = pytest.mark.parametrize(
    ("case", "mode"), CASES_IN_MODES, scope="module"
)
# A fault that replaces one element by an unlikely finite value.
WORD = {
    "float32": np.array([0x40490FDB], np.uint64),
    "float64": np.array([0x400921FB54442D18], np.uint64),
}
# The tests of sites take the compiled program that the test of gradients has as well.
DTYPE = {"graph": "float32", "xla": "float64"}


def _same(actual: dict, expected: dict) -> None:
    assert actual.keys() == expected.keys()
    for name, array in actual.items():
        assert_same_bits(array, expected[name])


def _equal_to_rounding(actual: dict, expected: dict) -> None:
    """Allow what XLA's choices for two programs differ by (decision 0009).

    It may fuse a small product with what stands around it, or call its library, and
    contract a product into a sum; each rounds in another order.
    """
    assert actual.keys() == expected.keys()
    for name, want in expected.items():
        atol = 4 * np.finfo(want.dtype).eps * np.abs(want).max(initial=0)
        np.testing.assert_allclose(actual[name], want, rtol=0, atol=atol)


def subclasses(kind: type) -> set[type]:
    ours = {
        c for c in kind.__subclasses__() if c.__module__.startswith("tpufi.layers.")
    }
    return ours.union(*(subclasses(c) for c in ours))


def test_every_layer_of_the_package_has_a_case():
    wrapped = {LabelledLoss: SoftmaxLoss, Gated: ChannelProduct, **WRAPPED}
    tested = {wrapped.get(kind, kind) for kind in {type(c.layer) for c in CASES}}
    for module in pkgutil.iter_modules(layers.__path__, "tpufi.layers."):
        importlib.import_module(module.name)
    final = {c for c in subclasses(Layer) if not c.__subclasses__()}
    assert tested == final | {SoftmaxLoss}
    assert {type(c.layer) for c in CASES} == PLAIN.keys() - set(WRAPPED.values())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Conv2D("conv", 5, 2), "kernel 2 is not odd"),
        (lambda: Conv2D("conv", 5, -1), "kernel -1 is not odd"),
        (lambda: Conv2D("conv", 5, 3, 0), "stride 0 is not positive"),
        (lambda: DepthwiseConv2D("dw", 4), "kernel 4 is not odd"),
        (lambda: DepthwiseConv2D("dw", 3, 4), "stride 4 is not from 1 to .* size 3"),
        (lambda: MaxPooling("pool", 0, 1), "window size 0 is not positive"),
        (lambda: MaxPooling("pool", 2, 0), "window stride 0 is not positive"),
        (lambda: MaxPooling("pool", 2, 2, "full"), "'full' is not one of valid, same"),
        (
            lambda: MaxPooling("pool", 3, 2).output_shape((2, 4, 3)),
            "windows of 3x3 pixels do not fit an image of 2x4",
        ),
        (lambda: ZeroPadding("pad", 0), "padding width 0 is not positive"),
        (lambda: StandardisedConv2D("conv", 5, 2), "kernel 2 is not odd"),
        (lambda: StandardisedConv2D("conv", 5, 3, floor=0), "floor 0 is not positive"),
        (lambda: Dropout("drop", 1.0), "rate 1.0 is not between 0 and 1"),
        (lambda: Embedding("embed", 0, 4), "vocabulary 0 is not positive"),
        (lambda: LayerNorm("norm", epsilon=0), "epsilon 0 is not positive"),
        (
            lambda: AttentionScores("scores", 4).output_shape((8, 6)),
            "width 6 is not a multiple of 4 heads",
        ),
        (
            lambda: AttentionContext("context", 6).output_shape((4, 8, 8)),
            "width 6 is not a multiple of 4 heads",
        ),
    ],
)
def test_impossible_layers_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@in_every_mode
def test_handwritten_gradients_equal_autodiff_in_float64(case: Case, mode):
    values = Values.drawn(case, "float64")
    actual = layer_program(case, "float64", mode)(values).results
    x = tf.constant(values.x)
    weights = [tf.constant(w) for w in values.parameters.values()]
    with tf.GradientTape() as tape:
        tape.watch([x, *weights])
        y = plain(case.layer, x, weights, values.seed)
    dx, *gradients = tape.gradient(y, [x, *weights], tf.constant(values.dy))
    expected = {"output": y, "gradient/input": dx}
    for name, gradient in zip(values.parameters, gradients, strict=True):
        expected[f"gradient/{name}"] = gradient
    for name, tensor in expected.items():
        want = tensor.numpy()
        assert actual[name].shape == want.shape, name
        # Sums may cancel: the scale is that of the whole tensor, or of the values.
        scale = max(np.abs(want).max(), 1e-3)
        np.testing.assert_allclose(
            actual[name], want, rtol=1e-10, atol=1e-10 * scale, err_msg=name
        )


@every_case
def test_moving_statistics_follow_the_batch(case: Case):
    values = Values.drawn(case, "float64")
    actual = layer_program(case, "float64", "graph")(values).results
    found = {n: a for n, a in actual.items() if n.startswith("statistics/")}
    if not isinstance(case.layer, BatchNorm):
        assert not found
        return
    axes = tuple(range(values.x.ndim - 1))
    momentum, old = case.layer.momentum, values.statistics
    mean, variance = values.x.mean(axes), values.x.var(axes)
    for what, batch in (("moving_mean", mean), ("moving_variance", variance)):
        want = old[f"bn/{what}"] * momentum + batch * (1 - momentum)
        np.testing.assert_allclose(found.pop(f"statistics/bn/{what}"), want, rtol=1e-12)
    assert not found


@every_case
def test_outside_training_the_moving_statistics_and_no_dropout_apply(case: Case):
    values = Values.drawn(case, "float64")
    x = tf.constant(values.x)
    y = case.layer(x, Run(values.parameters, values.statistics))
    weights = list(values.parameters.values())
    if isinstance(case.layer, BatchNorm):
        mean, variance = values.statistics.values()
        scale = weights[0] / np.sqrt(variance + case.layer.epsilon)
        want = (values.x - mean) * scale + weights[1]
    elif isinstance(case.layer, Dropout):
        want = values.x
    else:
        want = plain(case.layer, x, weights, values.seed)
    np.testing.assert_allclose(y, want, rtol=1e-12, atol=1e-12)


@in_every_mode
def test_every_declared_site_is_visited_and_reports_what_was_asked(case: Case, mode):
    dtype = DTYPE[mode]
    program = layer_program(case, dtype, mode)
    values = Values.drawn(case, dtype)
    for site_id, site in enumerate(program.table):
        count = min(site.size, 3)
        start = site.size - count
        words = np.full(count, WORD[dtype][0])
        for replica in (0, EVERY_REPLICA):
            fault = replacing(site_id, replica, np.arange(start, site.size), words)
            assert program(values, fault).injected.count == count, site.name
    assert program.traces == 1


@in_every_mode
def test_a_disarmed_layer_equals_one_without_sites(case: Case, mode):
    dtype = DTYPE[mode]
    values = Values.drawn(case, dtype)
    disarmed = layer_program(case, dtype, mode)(values)
    clean = layer_program(case, dtype, mode, with_sites=False)(values)
    if mode == "xla":
        _equal_to_rounding(disarmed.results, clean.results)
    else:
        _same(disarmed.results, clean.results)
    assert disarmed.injected.count == 0


@in_every_mode
def test_a_fault_of_another_replica_changes_no_bit(case: Case, mode):
    dtype = DTYPE[mode]
    program = layer_program(case, dtype, mode)
    values = Values.drawn(case, dtype)
    expected = program(values).results
    for site_id, site in enumerate(program.table):
        fault = replacing(site_id, 1, np.array([site.size // 2]), WORD[dtype])
        outcome = program(values, fault, replica=0)
        assert outcome.injected.count == 0, site.name
        _same(outcome.results, expected)
        assert program(values, fault, replica=1).injected.count == 1, site.name
