# SPDX-License-Identifier: Apache-2.0
"""What detectors make of the passes of single layers, against float64."""

import numpy as np
import pytest
import tensorflow as tf

from tpufi.detect import detector
from tpufi.detect.detectors.dense_checksums import checksum_errors
from tpufi.layers import (
    AttentionContext,
    AttentionScores,
    BatchNorm,
    CausalSoftmax,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    LayerNorm,
    ReLU,
    Run,
)
from tpufi.layers.context import CLEAN
from tpufi.layers.layer import LayerPass
from tpufi.layers.softmax_loss import LossPasses, SoftmaxLoss

RNG = np.random.default_rng(8)
UNIT = 2.0**-23
B, T, W = 3, 5, 8


def _draw(*shape, scale=1.0) -> np.ndarray:
    return (RNG.normal(size=shape) * scale).astype(np.float32)


def _probabilities() -> np.ndarray:
    x = np.exp(_draw(B, 2, T, T)) * np.tri(T)
    return (x / x.sum(-1, keepdims=True)).astype(np.float32)


MOVING = {
    f"norm/moving_{what}": np.zeros(4, np.float32) for what in ("mean", "variance")
}
# Layer, inputs, detector, which gradient (or the result, -1) has the fault, and how a
# formula in float64 finds it.
LAYERS = {
    "batch_norm": (
        BatchNorm("norm"), (_draw(B, 6, 6, 4), _draw(4), _draw(4)), "norm_zero_sums", 0,
        lambda p: _sums(p.gradients[0], (0, 1, 2)),
    ),
    "layer_norm": (
        LayerNorm("norm"), (_draw(B, T, W), _draw(W), _draw(W)), "norm_zero_sums", 0,
        lambda p: _sums(p.gradients[0], (-1,)),
    ),
    "softmax": (
        CausalSoftmax("softmax"), (_draw(B, 2, T, T),), "softmax_zero_sums", 0,
        lambda p: _sums(p.gradients[0], (-1,), np.abs(p.result * p.given).sum(-1)),
    ),
    "logits": (
        LossPasses(SoftmaxLoss("loss"), 24), (_draw(24, 10), np.arange(24) % 10),
        "logit_zero_sums", 0,
        lambda p: _sums(p.gradients[0], (-1,), abs(p.given) / 24),
    ),
    "context": (
        AttentionContext("context", W), (_probabilities(), _draw(B, T, W)),
        "attention_column_sums", 1,
        lambda p: _sums(np.concatenate([p.gradients[1], -p.given], 1), (1,)),
    ),
    "dense_weight": (
        Dense("fc", 6), (_draw(20, W), _draw(W, 6)), "linear_products", 1,
        lambda p: _products(p),
    ),
    "dense_input": (
        Dense("fc", 6), (_draw(B, T, W), _draw(W, 6)), "linear_products", 0,
        lambda p: _products(p),
    ),
    "dense_result": (
        Dense("fc", 6), (_draw(20, W), _draw(W, 6)), "linear_products", -1,
        lambda p: _products(p),
    ),
    "convolution": (
        Conv2D("conv", 5, 3, 2), (_draw(B, 6, 6, 4), _draw(3, 3, 4, 5)),
        "linear_products", 1, lambda p: _products(p),
    ),
    "depthwise": (
        DepthwiseConv2D("conv", 3), (_draw(B, 6, 6, 4), _draw(3, 3, 4, 1)),
        "linear_products", 1,
        lambda p: _products(
            p._replace(
                inputs=(p.inputs[0], p.inputs[1][..., 0]),
                gradients=(p.gradients[0], p.gradients[1][..., 0]),
            )
        ),
    ),
    "scores": (
        AttentionScores("scores", 2), (_draw(B, T, W), _draw(B, T, W)),
        "linear_products", 0, lambda p: _products(p, False),
    ),
}  # fmt: skip


def _sums(terms, axes, more=0.0) -> float:
    terms = terms.astype(np.float64)
    scale = np.abs(terms).sum(axes) + more
    return float((np.abs(terms.sum(axes)) / scale).max() / UNIT)


def _products(p: LayerPass, with_weight: bool = True) -> float:
    yy = (p.result.astype(np.float64) * p.given).reshape(p.result.shape)
    xx = p.inputs[0].astype(np.float64) * p.gradients[0]
    pairs = [[t.reshape(len(t), -1).T for t in (xx, yy)]]
    if with_weight:
        ww = p.inputs[1].astype(np.float64) * p.gradients[1]
        pairs.append([t.reshape(-1, t.shape[-1]) for t in (ww, yy)])
    shares = [
        np.abs(a.sum(0) - b.sum(0)) / (np.abs(a).sum(0) + np.abs(b).sum(0))
        for a, b in pairs
    ]
    return float(max(s.max() for s in shares) / UNIT)


def _passed(layer, inputs) -> LayerPass:
    """Return what a layer makes without a fault, as arrays."""
    sites, statistics = CLEAN.layer(layer.name), MOVING
    run = Run({}, {n: tf.constant(v) for n, v in statistics.items()}, True)
    result, saved = layer.forward(sites, run, *map(tf.constant, inputs))
    given = tf.constant(_draw(*result.shape))
    gradients = layer.backward(sites, saved, given)
    arrays = [None if g is None else g.numpy() for g in gradients]
    return LayerPass(tuple(inputs), result.numpy(), given.numpy(), tuple(arrays))


def _observed(name: str, layer, passed: LayerPass) -> float:
    tensors = tf.nest.map_structure(
        lambda x: None if x is None else tf.constant(x), passed
    )
    return float(detector(name).observe(layer, tensors))


@pytest.mark.parametrize("case", LAYERS)
def test_a_clean_layer_scores_less_than_the_threshold(case):
    layer, inputs, name, _, _ = LAYERS[case]
    assert _observed(name, layer, _passed(layer, inputs)) < detector(name).threshold


@pytest.mark.parametrize("case", LAYERS)
@pytest.mark.parametrize("value", [3.0, np.inf, np.nan])
def test_a_wrong_element_scores_what_the_formula_says(case, value):
    layer, inputs, name, which, formula = LAYERS[case]
    passed = _passed(layer, inputs)
    arrays = [*passed.gradients] if which >= 0 else [passed.result]
    changed = arrays[which].copy()
    changed.flat[changed.size // 2] += value
    arrays[which] = changed
    if which >= 0:
        passed = passed._replace(gradients=tuple(arrays))
    else:
        passed = passed._replace(result=changed)
    score = _observed(name, layer, passed)
    assert detector(name).alarms(score)
    if np.isfinite(value):
        # The sums differ by far more than float32 rounds them.
        assert score == pytest.approx(formula(passed), rel=1e-3)
    else:
        assert score == np.inf


def _tolerance(a: np.ndarray, b: np.ndarray, bounds=None) -> np.ndarray:
    """V-ABFT's, row by row and written out.

    Args:
      a: of the product.
      b: of the product.
      bounds: least and largest element of each row of `a`, if they are not its own.
    """
    (rows, depth), width = a.shape, b.shape[1]
    bottom, top = bounds or (a.min(1), a.max(1))
    mean_b = b.mean(1)
    deviation_b = np.sqrt((b.max(1) - mean_b) * (mean_b - b.min(1)))
    found = []
    for m in range(rows):
        mu = a[m].mean()
        s = np.sqrt((top[m] - mu) * (mu - bottom[m]))
        first = width * abs(mu) * np.abs(mean_b).sum()
        second = 4 * np.sqrt(
            width * (mu**2 * deviation_b**2).sum() + width**2 * s**2 * (mean_b**2).sum()
        )
        third = 4 * np.sqrt(width) * s * np.sqrt((deviation_b**2).sum())
        found.append(
            4 * UNIT * max(1, np.sqrt(depth / 1024)) * (first + second + third)
        )
    return np.array(found)


@pytest.mark.parametrize("depth", [16, 4096])
def test_checksum_errors_are_those_of_the_formula(depth):
    a, b = _draw(7, depth) + np.float32(1), _draw(depth, 9)
    c = (a.astype(np.float64) @ b).astype(np.float32)
    clean = checksum_errors(*map(tf.constant, (a, b, c))).numpy()
    assert clean.max() < 1
    c[3, 4] += 50
    found = checksum_errors(*map(tf.constant, (a, b, c))).numpy()
    wide = a.astype(np.float64), b.astype(np.float64)
    error = np.abs(c.astype(np.float64).sum(1) - wide[0] @ wide[1].sum(1))
    np.testing.assert_allclose(found[3], (error / _tolerance(*wide))[3], rtol=1e-3)
    assert found[3] > 1 and np.delete(found, 3).max() < 1
    c[3, 4] = np.nan
    assert checksum_errors(*map(tf.constant, (a, b, c))).numpy()[3] == np.inf


@pytest.mark.parametrize("part", ["result", 0, 1])
def test_every_product_of_a_dense_layer_has_a_checksum(part):
    layer = Dense("fc", 6)
    passed = _passed(layer, (_draw(20, W), _draw(W, 6)))
    assert _observed("dense_checksums", layer, passed) < 1
    if part == "result":
        changed = passed.result.copy()
        changed[2, 3] += 1
        passed = passed._replace(result=changed)
    else:
        arrays = [g.copy() for g in passed.gradients]
        arrays[part][2, 3] += 1
        passed = passed._replace(gradients=tuple(arrays))
    assert _observed("dense_checksums", layer, passed) > 1


def _product_of_convolution(part, x, kernel, dy, stride):
    """Return the operands of a convolution's product as matrices, and bounds of rows.

    Patches are copied tap by tap, zeros around images and between pixels included.
    """
    size, (batch, height, width, channels) = len(kernel), x.shape
    rows, columns, filters = dy.shape[1:]
    pads = [
        max((count - 1) * stride + size - length, 0) // 2
        for count, length in ((rows, height), (columns, width))
    ]
    seen = np.zeros((batch, rows, columns, size, size, channels))
    given = np.zeros((batch, height, width, size, size, filters))
    for i, j, u, v in np.ndindex(rows, columns, size, size):
        at, beside = i * stride + u - pads[0], j * stride + v - pads[1]
        if 0 <= at < height and 0 <= beside < width:
            seen[:, i, j, u, v] = x[:, at, beside]
            given[:, at, beside, u, v] = dy[:, i, j]
    patches = seen.reshape(batch * rows * columns, -1)
    if part == "result":
        return patches, kernel.reshape(-1, filters), None
    if part == 0:
        turned = kernel.transpose(0, 1, 3, 2).reshape(-1, channels)
        return given.reshape(batch * height * width, -1), turned, None
    ends = np.minimum(x.min((0, 1, 2)), 0), np.maximum(x.max((0, 1, 2)), 0)
    bounds = tuple(np.tile(end, size * size) for end in ends)
    return patches.T, dy.reshape(-1, filters), bounds


@pytest.mark.parametrize("part", ["result", 0, 1])
@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 4])
def test_checksums_of_a_convolution_are_those_of_its_matrices(part, size, stride):
    layer = Conv2D("conv", 5, size, stride)
    x = _draw(B, 7, 8, 4) + np.float32(0.5)
    passed = _passed(layer, (x, _draw(size, size, 4, 5)))
    assert _observed("conv_checksums", layer, passed) < 1
    arrays = {"result": passed.result.copy(), 0: passed.gradients[0].copy(),
              1: passed.gradients[1].copy()}  # fmt: skip
    arrays[part].flat[arrays[part].size // 2] += 3
    passed = passed._replace(result=arrays["result"], gradients=(arrays[0], arrays[1]))
    x, kernel, dy = (t.astype(np.float64) for t in (*passed.inputs, passed.given))
    a, b, bounds = _product_of_convolution(part, x, kernel, dy, stride)
    found = arrays[part].astype(np.float64).reshape(-1, b.shape[1])
    error = np.abs(found.sum(1) - a @ b.sum(1))
    # A kernel that a stride steps over leaves pixels that nothing reaches.
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(error > 0, error / _tolerance(a, b, bounds), 0)
    score = _observed("conv_checksums", layer, passed)
    assert score > 1 and score == pytest.approx(share.max(), rel=1e-3)
    arrays[part].flat[0] = np.nan
    assert _observed("conv_checksums", layer, passed) == np.inf


def test_layers_without_an_invariant_are_not_looked_at():
    layer = ReLU("relu")
    passed = _passed(layer, (_draw(2, 3),))
    for name in (
        *("norm_zero_sums", "linear_products", "dense_checksums", "conv_checksums"),
    ):
        assert detector(name).observe(layer, passed) is None
