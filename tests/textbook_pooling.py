# SPDX-License-Identifier: Apache-2.0
"""Pooling over windows and zero padding in numpy; see `tests.textbook`."""

from collections.abc import Callable, Iterator

import numpy as np

from tests.layer_cases import Values
from tpufi.layers import AveragePooling, MaxPooling, ZeroPadding
from tpufi.layers.windowed import Windowed

Results = dict[str, np.ndarray]


def _windows(layer: Windowed, shape: tuple) -> Iterator[tuple[tuple, tuple]]:
    """Yield the place of each window in the output and its pixels in the image."""

    def spans(n: int) -> list[slice]:
        if layer.padding == "valid":
            starts = range(0, n - layer.size + 1, layer.stride)
        else:
            count = (n + layer.stride - 1) // layer.stride
            lack = max((count - 1) * layer.stride + layer.size - n, 0)
            starts = [i * layer.stride - lack // 2 for i in range(count)]
        return [slice(max(s, 0), min(s + layer.size, n)) for s in starts]

    for i, rows in enumerate(spans(shape[1])):
        for j, columns in enumerate(spans(shape[2])):
            yield (slice(None), i, j), (slice(None), rows, columns)


def _max(layer: MaxPooling, v: Values, alter: Callable) -> Results:
    x, y = alter("forward", "input", v.x), np.empty_like(v.dy)
    dy, dx = alter("grad_in", "input", v.dy), np.zeros_like(v.x)
    images, channels = np.ogrid[: len(dx), : dx.shape[-1]]
    for place, window in _windows(layer, v.x.shape):
        y[place] = x[window].max((1, 2))
        searched = np.where(np.isnan(v.x[window]), np.inf, v.x[window])
        flat = searched.reshape(len(dx), -1, dx.shape[-1])
        row, column = np.unravel_index(flat.argmax(1), searched.shape[1:3])
        dx[window][images, row, column, channels] += dy[place]
    return {
        "output": alter("forward", "output", y),
        "gradient/input": alter("grad_in", "output", dx),
    }


def _average(layer: AveragePooling, v: Values, alter: Callable) -> Results:
    x, y = alter("forward", "input", v.x), np.empty_like(v.dy)
    dy, dx = alter("grad_in", "input", v.dy), np.zeros_like(v.x)
    for place, window in _windows(layer, v.x.shape):
        pixels = v.x[window].shape[1] * v.x[window].shape[2]
        y[place] = x[window].sum((1, 2)) / pixels
        dx[window] += dy[place][:, None, None] / pixels
    return {
        "output": alter("forward", "output", y),
        "gradient/input": alter("grad_in", "output", dx),
    }


def _padding(layer: ZeroPadding, v: Values, alter: Callable) -> Results:
    inside = slice(layer.width, -layer.width)
    y = np.zeros_like(v.dy)
    y[:, inside, inside] = alter("forward", "input", v.x)
    dx = alter("grad_in", "input", v.dy)[:, inside, inside]
    return {
        "output": alter("forward", "output", y),
        "gradient/input": alter("grad_in", "output", dx),
    }


POOLING = {MaxPooling: _max, AveragePooling: _average, ZeroPadding: _padding}
