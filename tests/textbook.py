# SPDX-License-Identifier: Apache-2.0
"""The layers in numpy, with the operands that positions of faults refer to.

Every operand and result passes through `alter(direction, operand, array)`, which may
return another array. What is done to it reaches whatever is computed from it, with one
exception that is part of the definition of a site: an operand ("input", "weight",
"bias") is a copy on its way into one operation, so other operations read it whole."""

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

from tests.layer_cases import Case, Gated, LabelledLoss, Values
from tests.plain_layers import dropout_mask
from tests.textbook_decoder import DECODER
from tpufi.layers import (
    AveragePooling,
    BatchNorm,
    Bias,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    GlobalAveragePooling,
    MaxPooling,
    ReLU,
    Scale,
    Sigmoid,
    SkipGain,
    StandardisedConv2D,
    Swish,
    ZeroPadding,
)
from tpufi.layers.pooling import Windowed

Results = dict[str, np.ndarray]


def standardised(
    layer: StandardisedConv2D, v: Values, alter: Callable, convolve: Callable
) -> Results:
    """Convolve with a standardised kernel.

    Args:
      layer: the layer.
      v: its values.
      alter: see `tests.textbook`.
      convolve: the textbook of `Conv2D`.
    """
    gain, clean = v.parameters.values()
    axes, fan_in = (0, 1, 2), clean[..., 0].size
    raw = alter("forward", "raw_weight", clean)
    mean = alter("forward", "mean", raw.sum(axes) / fan_in)
    variance = ((raw - mean) ** 2).sum(axes) / fan_in
    variance = alter("forward", "variance", variance)
    squares = variance * fan_in
    norm = np.sqrt(np.where(squares < layer.floor, layer.floor, squares))
    norm = norm.astype(clean.dtype)
    kernel = (raw - mean) * (alter("forward", "gain", gain) / norm)

    weights = {"conv/kernel": kernel}
    results = convolve(
        layer.convolution, dataclasses.replace(v, parameters=weights), alter
    )
    dkernel = results.pop("gradient/conv/kernel")
    normal = (clean - mean) / norm
    dgain = alter("grad_wt", "gain_output", (dkernel * normal).sum(axes))
    removed = np.where(squares < layer.floor, np.zeros_like(dgain), dgain)
    draw = (dkernel - normal * removed) * (gain / norm)
    draw = draw - draw.sum(axes) / fan_in
    return {
        **results,
        f"gradient/{layer.name}/gain": dgain,
        f"gradient/{layer.name}/kernel": alter("grad_wt", "raw_output", draw),
    }


def scale(layer: Scale, v: Values, alter: Callable) -> Results:
    """Multiply by a constant."""
    y = alter("forward", "input", v.x) * layer.factor
    dx = alter("grad_in", "input", v.dy) * layer.factor
    return {
        "output": alter("forward", "output", y),
        "gradient/input": alter("grad_in", "output", dx),
    }


def skip_gain(layer: SkipGain, v: Values, alter: Callable) -> Results:
    """Multiply by one trained number."""
    (gain,) = v.parameters.values()
    y = alter("forward", "input", v.x) * alter("forward", "weight", gain)
    dx = alter("grad_in", "input", v.dy) * alter("grad_in", "weight", gain)
    products = alter("grad_wt", "input", v.x) * alter("grad_wt", "weight", v.dy)
    # An array without axes, not a number: it must be possible to alter it.
    dgain = np.asarray(products.sum())
    return {
        "output": alter("forward", "output", y),
        "gradient/input": alter("grad_in", "output", dx),
        "gradient/skip/gain": alter("grad_wt", "output", dgain),
    }


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


Alter = Callable[[str, str, np.ndarray], np.ndarray]
Results = dict[str, np.ndarray]


def textbook(case: Case, values: Values, alter: Alter) -> Results:
    """Return what `LayerProgram` returns, in the type of the values."""
    with np.errstate(all="ignore"):
        return _TEXTBOOK[type(case.layer)](case.layer, values, alter)


def slide(x: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """Correlate [b, h, w, c] with [k, l, c, f], no padding."""
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[:2], (1, 2))
    return np.einsum("bhwckl,klcf->bhwf", windows[:, ::stride, ::stride], kernel)


def _conv2d(layer: Conv2D, v: Values, alter: Alter) -> Results:
    (kernel,) = v.parameters.values()
    size, stride, half = layer.kernel, layer.stride, layer.kernel // 2
    pixels = v.dy.shape[1:3]
    # 'Same' padding: what the windows need beyond the image, the odd zero at the end.
    lack = [
        max((n - 1) * stride + size - image, 0)
        for n, image in zip(pixels, v.x.shape[1:3], strict=True)
    ]
    before = [zeros // 2 for zeros in lack]
    same = [(0, 0), *((n // 2, n - n // 2) for n in lack), (0, 0)]
    x = np.pad(alter("forward", "input", v.x), same)
    y = slide(x, alter("forward", "weight", kernel), stride)

    # Pixel i of the output reads rows i * stride - before ... of the image. In the
    # frame of the image plus k // 2 zeros on each side, its gradient stands where a
    # stride-1 window around it covers the same rows.
    def dilated(frame: list[int], first: list[int]) -> np.ndarray:
        wide = np.zeros((len(v.dy), *frame, v.dy.shape[-1]), v.dy.dtype)
        rows, columns = (
            slice(f, f + (n - 1) * stride + 1, stride)
            for f, n in zip(first, pixels, strict=True)
        )
        wide[:, rows, columns] = v.dy
        return wide

    image = list(v.x.shape[1:3])
    incoming = dilated([n + size - 1 for n in image], [size - 1 - b for b in before])
    rotated = kernel[::-1, ::-1].transpose(0, 1, 3, 2)
    dx = slide(
        alter("grad_in", "input", incoming), alter("grad_in", "weight", rotated), 1
    )

    padded = np.pad(v.x, [(0, 0), (half, half), (half, half), (0, 0)])
    padded = alter("grad_wt", "input", padded.transpose(3, 1, 2, 0))
    incoming = dilated(image, [half - b for b in before]).transpose(1, 2, 0, 3)
    product = slide(padded, alter("grad_wt", "weight", incoming), 1)
    product = alter("grad_wt", "output", product)
    return {
        "output": alter("forward", "output", y),
        "gradient/input": alter("grad_in", "output", dx),
        "gradient/conv/kernel": product.transpose(1, 2, 0, 3),
    }


def _depthwise(layer: DepthwiseConv2D, v: Values, alter: Alter) -> Results:
    (kernel,) = v.parameters.values()
    size, stride, pixels = layer.kernel, layer.stride, v.dy.shape[1:3]
    image = v.x.shape[1:3]
    lack = [
        max((n - 1) * stride + size - have, 0)
        for n, have in zip(pixels, image, strict=True)
    ]
    same = [(0, 0), *((n // 2, n - n // 2) for n in lack), (0, 0)]

    def windows(x: np.ndarray) -> np.ndarray:
        return np.lib.stride_tricks.sliding_window_view(x, (size, size), (1, 2))

    def dilated(dy: np.ndarray) -> np.ndarray:
        spread = [(n - 1) * stride + 1 for n in pixels]
        wide = np.zeros((len(dy), *spread, dy.shape[-1]), dy.dtype)
        wide[:, ::stride, ::stride] = dy
        return wide

    x = windows(np.pad(alter("forward", "input", v.x), same))[:, ::stride, ::stride]
    y = np.einsum("bhwckl,klcm->bhwc", x, alter("forward", "weight", kernel))

    # Gradient of the padded image, of which the image is cut out.
    full = [(0, 0), (size - 1, size - 1), (size - 1, size - 1), (0, 0)]
    incoming = windows(np.pad(dilated(alter("grad_in", "input", v.dy)), full))
    rotated = alter("grad_in", "weight", kernel)[::-1, ::-1]
    top, left = same[1][0], same[2][0]
    dx = np.einsum("bhwckl,klcm->bhwc", incoming, rotated)
    dx = dx[:, top : top + image[0], left : left + image[1]]

    x = windows(np.pad(alter("grad_wt", "input", v.x), same))
    incoming = dilated(alter("grad_wt", "weight", v.dy))
    dkernel = np.einsum("bhwckl,bhwc->klc", x, incoming)[..., None]
    return {
        "output": alter("forward", "output", y),
        "gradient/input": alter("grad_in", "output", dx),
        "gradient/dw/kernel": alter("grad_wt", "output", dkernel),
    }


def _dense(layer: Dense, v: Values, alter: Alter) -> Results:
    (kernel,) = v.parameters.values()
    y = np.einsum(
        "...i,io->...o",
        alter("forward", "input", v.x),
        alter("forward", "weight", kernel),
    )
    dx = np.einsum(
        "...o,oi->...i",
        alter("grad_in", "input", v.dy),
        alter("grad_in", "weight", kernel.T),
    )
    turned = alter("grad_wt", "input", np.moveaxis(v.x, -1, 0))
    dkernel = np.tensordot(turned, alter("grad_wt", "weight", v.dy), v.x.ndim - 1)
    return {
        "output": alter("forward", "output", y),
        "gradient/input": alter("grad_in", "output", dx),
        "gradient/dense/kernel": alter("grad_wt", "output", dkernel),
    }


def _bias(layer: Bias, v: Values, alter: Alter) -> Results:
    (bias,) = v.parameters.values()
    y = alter("forward", "input", v.x) + alter("forward", "weight", bias)
    incoming = alter("grad_wt", "input", v.dy)
    dbias = incoming.reshape(-1, incoming.shape[-1]).sum(0)
    return {
        "output": alter("forward", "output", y),
        "gradient/input": alter("grad_in", "output", v.dy),
        "gradient/bias/bias": alter("grad_wt", "output", dbias),
    }


def _batch_norm(layer: BatchNorm, v: Values, alter: Alter) -> Results:
    gamma, beta = v.parameters.values()
    axes, count = tuple(range(v.x.ndim - 1)), v.x.size // v.x.shape[-1]
    x = alter("forward", "input", v.x)
    mean = x.sum(axes) / count
    variance = (x * x).sum(axes) / count - mean * mean
    mean = alter("forward", "mean", mean)
    variance = alter("forward", "variance", variance)
    deviation = np.sqrt(variance + layer.epsilon)
    scaled = (x - mean) / deviation * alter("forward", "weight", gamma)
    y = scaled + alter("forward", "bias", beta)

    dy = alter("grad_in", "input", v.dy)
    normal = (v.x - mean) / deviation
    dgamma = alter("grad_wt", "output", (dy * normal).sum(axes))
    dbeta = alter("grad_wt", "bias_output", dy.sum(axes))
    dx = gamma / deviation * (dy - dbeta / count - normal * dgamma / count)
    new = {
        f"statistics/{name}": layer.momentum * old + (1 - layer.momentum) * batch
        for (name, old), batch in zip(
            v.statistics.items(), (mean, variance), strict=True
        )
    }
    return {
        "output": alter("forward", "output", y),
        "gradient/input": alter("grad_in", "output", dx),
        "gradient/bn/gamma": dgamma,
        "gradient/bn/beta": dbeta,
        **new,
    }


def _relu(layer: ReLU, v: Values, alter: Alter) -> Results:
    y = alter("forward", "output", np.maximum(alter("forward", "input", v.x), 0))
    dy = alter("grad_in", "input", v.dy)
    dx = np.where(y > 0, dy, np.zeros_like(dy))
    return {"output": y, "gradient/input": alter("grad_in", "output", dx)}


def _sigmoid(layer: Sigmoid, v: Values, alter: Alter) -> Results:
    y = 1 / (1 + np.exp(-alter("forward", "input", v.x)))
    y = alter("forward", "output", y)
    dx = alter("grad_in", "input", v.dy) * (y * (1 - y))
    return {"output": y, "gradient/input": alter("grad_in", "output", dx)}


def _swish(layer: Swish, v: Values, alter: Alter) -> Results:
    x = alter("forward", "input", v.x)
    y = alter("forward", "output", x / (1 + np.exp(-x)))
    share = 1 / (1 + np.exp(-v.x))
    slope = share + v.x * share * (1 - share)
    dx = alter("grad_in", "input", v.dy) * slope
    return {"output": y, "gradient/input": alter("grad_in", "output", dx)}


def _gated(layer: Gated, v: Values, alter: Alter) -> Results:
    (gate,) = v.parameters.values()
    y = alter("forward", "input", v.x) * alter("forward", "gate", gate)
    dy = alter("grad_in", "input", v.dy)
    dgate = (dy * v.x).sum((1, 2), keepdims=True)
    return {
        "output": alter("forward", "output", y),
        "gradient/input": alter("grad_in", "output", dy * gate),
        "gradient/gate/gate": alter("grad_in", "gate_output", dgate),
    }


def _pooling(layer: GlobalAveragePooling, v: Values, alter: Alter) -> Results:
    pixels = v.x.shape[1] * v.x.shape[2]
    y = alter("forward", "input", v.x).sum((1, 2), keepdims=layer.keepdims) / pixels
    share = alter("grad_in", "input", v.dy) / pixels
    dx = np.zeros_like(v.x) + share.reshape(len(v.x), 1, 1, -1)
    return {
        "output": alter("forward", "output", y),
        "gradient/input": alter("grad_in", "output", dx),
    }


def _dropout(layer: Dropout, v: Values, alter: Alter) -> Results:
    x = alter("forward", "input", v.x)
    drawn = dropout_mask(layer, v.x.shape, v.seed).astype(v.x.dtype)
    mask = alter("forward", "mask", drawn)
    dx = alter("grad_in", "input", v.dy) * mask
    return {
        "output": alter("forward", "output", x * mask),
        "gradient/input": alter("grad_in", "output", dx),
    }


def _loss(layer: LabelledLoss, v: Values, alter: Alter) -> Results:
    logits = alter("forward", "input", v.x)
    labels = np.array(layer.labels)[..., np.newaxis]
    largest = logits.max(-1, keepdims=True)
    powers = np.exp(logits - largest)
    # An infinite shift would make NaN of the finite logits in a row with an Inf.
    shift = np.where(np.isfinite(largest), largest, 0)
    sums = np.log(np.exp(logits - shift).sum(-1)) + shift[..., 0]
    picked = np.take_along_axis(logits, labels, -1)[..., 0]
    losses = alter("forward", "output", sums - picked)
    target = np.eye(logits.shape[-1], dtype=logits.dtype)[labels[..., 0]]
    share = v.dy / layer.count
    dlogits = (powers / powers.sum(-1, keepdims=True) - target) * share
    return {
        "output": np.asarray(losses.sum() / layer.count, logits.dtype),
        "gradient/input": alter("grad_in", "output", dlogits.astype(logits.dtype)),
    }


_TEXTBOOK = {
    Conv2D: _conv2d,
    DepthwiseConv2D: _depthwise,
    StandardisedConv2D: lambda la, v, alter: standardised(la, v, alter, _conv2d),
    **POOLING,
    **DECODER,
    Dense: _dense,
    Bias: _bias,
    BatchNorm: _batch_norm,
    ReLU: _relu,
    Scale: scale,
    SkipGain: skip_gain,
    Sigmoid: _sigmoid,
    Swish: _swish,
    Gated: _gated,
    GlobalAveragePooling: _pooling,
    Dropout: _dropout,
    LabelledLoss: _loss,
}
