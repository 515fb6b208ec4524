# SPDX-License-Identifier: Apache-2.0
"""Max-pooling of equal pixels, of NaN and of Inf: the same in all modes and types."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.layer_cases import Case, Values
from tests.layer_program import layer_program
from tests.modes import assert_same_bits
from tpufi.layers import MaxPooling

DTYPES = ("float32", "float64", "bfloat16", "float16")
in_modes = pytest.mark.parametrize("mode", ["graph", "xla"])
of_types = pytest.mark.parametrize("dtype", DTYPES)
windows = pytest.mark.parametrize(
    "layer",
    [
        MaxPooling("pool", 2, 2),
        MaxPooling("pool", 3, 2),
        MaxPooling("pool", 3, 2, "same"),
    ],
    ids=lambda layer: f"k{layer.size}-{layer.padding}",
)


def _pooled(case: Case, x: np.ndarray, dtype: str, mode: str) -> dict:
    drawn = Values.drawn(case, dtype)
    # Whole numbers, of which all types hold the sums.
    dy = np.arange(1, drawn.dy.size + 1).reshape(drawn.dy.shape).astype(dtype)
    values = dataclasses.replace(drawn, x=x.astype(dtype), dy=dy)
    results = layer_program(case, dtype, mode)(values).results
    return {"dy": dy, "y": results["output"], "dx": results["gradient/input"]}


@windows
@of_types
@in_modes
def test_of_equal_pixels_the_library_s_choice_gets_the_gradient(mode, dtype, layer):
    x = np.random.default_rng(2).integers(-1, 2, (2, 6, 4, 2)).astype(dtype)
    found = _pooled(Case(layer, (6, 4, 2), 2), x, dtype, mode)
    with tf.GradientTape() as tape:
        images = tf.constant(x)
        tape.watch(images)
        y = tf.nn.max_pool2d(images, layer.size, layer.stride, layer.padding.upper())
    dx = tape.gradient(y, images, tf.constant(found["dy"]))
    assert_same_bits(found["y"], y.numpy())
    assert_same_bits(found["dx"], dx.numpy())


@of_types
@in_modes
def test_a_nan_is_seen_and_gets_the_gradient_of_its_windows(mode, dtype):
    case = Case(MaxPooling("pool", 2, 2), (4, 4, 1), 1)
    x = np.arange(16.0).reshape(1, 4, 4, 1)
    x[0, 1, 0] = np.nan
    x[0, 2, 2] = np.inf
    found = _pooled(case, x, dtype, mode)
    y = found["y"].astype(np.float64)[0, ..., 0]
    np.testing.assert_array_equal(y, [[np.nan, 7], [13, np.inf]])
    dx = np.zeros((4, 4))
    dx[1, 0], dx[1, 3], dx[3, 1], dx[2, 2] = 1, 2, 3, 4
    np.testing.assert_array_equal(found["dx"].astype(np.float64)[0, ..., 0], dx)


@of_types
@in_modes
def test_a_window_of_minus_inf_alone_gives_minus_inf(mode, dtype):
    case = Case(MaxPooling("pool", 2, 2), (2, 4, 1), 1)
    x = np.full((1, 2, 4, 1), -np.inf)
    x[0, 1, 3] = np.finfo(np.float16).min
    found = _pooled(case, x, dtype, mode)
    want = x[:, 1:, 1::2].astype(dtype).astype(np.float64)
    np.testing.assert_array_equal(found["y"].astype(np.float64), want)
    dx = np.zeros((2, 4))
    dx[0, 0], dx[1, 3] = 1, 2
    np.testing.assert_array_equal(found["dx"].astype(np.float64)[0, ..., 0], dx)
