# SPDX-License-Identifier: Apache-2.0
"""A broken element in each product of each layer, against the array cycle by cycle."""

from collections.abc import Iterator

import numpy as np
import pytest
import tensorflow as tf

from tests.array_cases import (
    KINDS,
    agrees,
    changing,
    random_element,
    random_fault,
    whole_numbers,
)
from tests.systolic_array import multiply
from tpufi.layers import (
    AttentionContext,
    AttentionScores,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Layer,
)
from tpufi.layers.unit_context import UnitContext, UnitOperands, read_counts
from tpufi.site_table import SiteTable
from tpufi.units import UnitFault

# By direction: the groups of matrices A, those of B, and where results stand.
Products = dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]

LAYERS = {
    "vectors": (Dense("layer", 5), (3, 7)),
    "tokens": (Dense("layer", 5), (2, 3, 4)),
    "3x3": (Conv2D("layer", 5, 3), (2, 4, 3, 2)),
    "3x3 by 2": (Conv2D("layer", 3, 3, 2), (2, 5, 4, 2)),
    "1x1 by 2": (Conv2D("layer", 3, 1, 2), (1, 5, 6, 2)),
    "5x5 by 3": (Conv2D("layer", 2, 5, 3), (1, 7, 5, 2)),
    "depthwise": (DepthwiseConv2D("layer", 3), (1, 4, 3, 2)),
    "depthwise by 2": (DepthwiseConv2D("layer", 3, 2), (2, 5, 4, 3)),
    "scores": (AttentionScores("layer", 2), (2, 5, 8)),
    "context": (AttentionContext("layer", 6), (2, 3, 5, 5)),
}


def patches(x: np.ndarray, layer: Conv2D | DepthwiseConv2D) -> np.ndarray:
    """Return [pixels, taps, channels] of 'same' padding, one number after the other."""
    (batch, *sizes, channels), size, by = x.shape, layer.kernel, layer.stride
    pixels = [-(-n // by) for n in sizes]
    pads = [
        max((p - 1) * by + size - n, 0) // 2 for p, n in zip(pixels, sizes, strict=True)
    ]
    found = np.zeros((batch, *pixels, size, size, channels), x.dtype)
    for b, i, j, u, v in np.ndindex(*found.shape[:-1]):
        place = i * by + u - pads[0], j * by + v - pads[1]
        if all(0 <= p < n for p, n in zip(place, sizes, strict=True)):
            found[b, i, j, u, v] = x[(b, *place)]
    return found.reshape(-1, size * size, channels)


def spread(
    x: np.ndarray, dy: np.ndarray, layer: Conv2D | DepthwiseConv2D
) -> np.ndarray:
    """Return [pixels of x, taps, filters]: the gradient that each pixel meets.

    Tap t of the rotated kernel meets the result that tap `taps - 1 - t` made of the
    pixel.
    """
    (batch, height, width, _), size = x.shape, layer.kernel
    shape = batch, height, width, size * size, dy.shape[-1]
    found = np.zeros(shape, dy.dtype)
    # Which pixel of x each result sees with each tap.
    number = np.arange(1, batch * height * width + 1, dtype=np.float64)
    seen = patches(number.reshape(batch, height, width, 1), layer)[..., 0]
    flat, results = (
        found.reshape(-1, size * size, dy.shape[-1]),
        dy.reshape(-1, dy.shape[-1]),
    )
    for pixel, tap in np.ndindex(*seen.shape):
        if seen[pixel, tap]:
            flat[int(seen[pixel, tap]) - 1, size * size - 1 - tap] = results[pixel]
    return flat


def heads(x: np.ndarray, number: int) -> np.ndarray:
    batch, context, width = x.shape
    x = x.reshape(batch, context, number, width // number).transpose(0, 2, 1, 3)
    return x.reshape(-1, context, width // number)


def products(layer: Layer, x: np.ndarray, w: np.ndarray, dy: np.ndarray) -> Products:
    """Return what a layer multiplies, as textbooks write it."""
    if isinstance(layer, Dense):
        rows, own = x.reshape(-1, x.shape[-1]), dy.reshape(-1, dy.shape[-1])
        pairs = {"forward": (rows, w), "grad_in": (own, w.T), "grad_wt": (rows.T, own)}
    elif isinstance(layer, Conv2D):
        own, seen = dy.reshape(-1, dy.shape[-1]), patches(x, layer)
        seen = seen.reshape(len(seen), -1)
        met, rotated = spread(x, dy, layer), w[::-1, ::-1].transpose(0, 1, 3, 2)
        pairs = {
            "forward": (seen, w.reshape(-1, w.shape[-1])),
            "grad_in": (met.reshape(len(met), -1), rotated.reshape(-1, x.shape[-1])),
            "grad_wt": (seen.T, own),
        }
    elif isinstance(layer, DepthwiseConv2D):
        seen = patches(x, layer).transpose(2, 0, 1)
        met = spread(x, dy, layer).transpose(2, 0, 1)
        taps = w.reshape(-1, x.shape[-1]).T[..., None]
        own = dy.reshape(-1, dy.shape[-1]).T[..., None]
        pairs = {
            "forward": (seen, taps),
            "grad_in": (met, taps[:, ::-1]),
            "grad_wt": (seen.transpose(0, 2, 1), own),
        }
    elif isinstance(layer, AttentionScores):
        query, key = heads(x, layer.heads), heads(w, layer.heads)
        own = dy.reshape(-1, *dy.shape[2:])
        pairs = {
            "forward": (query, key.transpose(0, 2, 1)),
            "grad_in": (own, key),
            "grad_wt": (query.transpose(0, 2, 1), own),
        }
    else:
        shares, values = x.reshape(-1, *x.shape[2:]), heads(w, x.shape[1])
        own = heads(dy, x.shape[1])
        pairs = {
            "forward": (shares, values),
            "grad_in": (own, values.transpose(0, 2, 1)),
            "grad_wt": (shares.transpose(0, 2, 1), own),
        }
    return {
        name: tuple(x if x.ndim == 3 else x[None] for x in pair)
        for name, pair in pairs.items()
    }


def placed(layer: Layer, direction: str, c: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Return results [groups, M, N] in the shape of a layer's result."""
    if isinstance(layer, DepthwiseConv2D):
        return c[..., 0].T.reshape(like.shape)
    if isinstance(layer, AttentionScores) and direction == "grad_wt":
        c = c.transpose(0, 2, 1)
    if isinstance(layer, AttentionScores | AttentionContext) and like.ndim == 3:
        number = len(c) // len(like)
        c = c.reshape(len(like), number, *c.shape[1:]).transpose(0, 2, 1, 3)
    return c.reshape(like.shape)


def given(layer: Layer, shape: tuple, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield input, weight operand and incoming gradient."""
    result = shape[0], *layer.output_shape(shape[1:])
    yield whole_numbers(rng, *shape)
    if weights := layer.parameters(shape[1:]):
        yield whole_numbers(rng, *weights[0].shape)
    elif isinstance(layer, AttentionScores):
        yield whole_numbers(rng, *shape)
    else:
        yield whole_numbers(rng, *result)
    yield whole_numbers(rng, *result)


@pytest.mark.parametrize("name", LAYERS)
def test_an_element_breaks_what_it_computes_in_every_product(name):
    # Each kind with one layer; the slow test has all of both.
    place = [*LAYERS].index(name)
    check(name, KINDS[place % len(KINDS)])


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS, ids="-".join)
@pytest.mark.parametrize("name", LAYERS)
def test_each_kind_of_element_breaks_each_layer(name, kind):
    check(name, kind, 3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS, ids="-".join)
@pytest.mark.parametrize("name", ["vectors", "3x3 by 2", "scores", "depthwise"])
def test_an_element_breaks_products_of_16_bits(name, kind):
    check(name, kind, dtype="bfloat16")


def check(
    name: str, kind: tuple[str, str], cases: int = 1, dtype: str = "float32"
) -> None:
    """Compare a layer with a broken element with the array, some times."""
    layer, shape = LAYERS[name]
    rng = np.random.default_rng([len(name), *map(ord, "".join(kind))])
    table = SiteTable(layer.sites(shape[1:], shape[0], dtype))
    for _ in range(cases):
        x, w, dy = given(layer, shape, rng)
        if dtype != "float32":
            # Sums of 1 and -1 are exact in 8 bits.
            x, w, dy = map(np.sign, (x, w, dy))
        padded = isinstance(layer, Conv2D | DepthwiseConv2D)
        fault = random_fault(rng, random_element(rng, kind), padded)
        if dtype != "float32":
            fault = UnitFault(fault.unit, "zero")
        results = passes(layer, table, fault, dtype, x, w, dy)
        factor = layer._factor(tf.constant(x)) if hasattr(layer, "_factor") else 1
        for direction, (a, b) in products(layer, x, w, dy).items():
            with np.errstate(invalid="ignore"):
                c = [
                    multiply(*pair, fault.unit, changing(fault))
                    for pair in zip(a, b, strict=True)
                ]
            found = results[direction]
            wanted = placed(layer, direction, np.float32(factor) * np.array(c), found)
            assert agrees(found, wanted), (direction, fault, found, wanted)


def passes(
    layer: Layer, table: SiteTable, fault: UnitFault, dtype: str, *given: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the results of the three products of a layer with a fault."""
    x, w, dy = (tf.cast(one, dtype) for one in given)
    operands = UnitOperands.of(fault, dtype, 0)
    context = UnitContext.of_replica(table, tf.constant(0, tf.int64), operands, False)
    sites = context.layer("layer")
    y, saved = layer.forward(sites, None, x, w)
    dx, dw = layer.backward(sites, saved, dy)
    (record,) = sites.records()
    applied, changed = read_counts(record.numpy())
    assert 0 <= changed <= applied
    named = {"forward": y, "grad_in": dx, "grad_wt": dw}
    return {name: tf.cast(tensor, tf.float32).numpy() for name, tensor in named.items()}
