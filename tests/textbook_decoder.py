# SPDX-License-Identifier: Apache-2.0
"""The layers of a decoder in numpy; see `tests.textbook`."""

import math
from collections.abc import Callable

import numpy as np

from tests.decoder_cases import LookedUp, WithKeys, WithValues
from tests.layer_cases import Values
from tpufi.layers import GELU, CausalSoftmax, LayerNorm, PositionEmbedding

Results = dict[str, np.ndarray]


def _heads(x: np.ndarray, heads: int) -> np.ndarray:
    """Return [b, t, w] as [b, heads, t, w / heads]."""
    return np.stack(np.split(x, heads, -1), 1)


def _joined(x: np.ndarray) -> np.ndarray:
    return np.concatenate([x[:, head] for head in range(x.shape[1])], -1)


def _turned(x: np.ndarray) -> np.ndarray:
    return x.swapaxes(-1, -2)


def _scores(wrapped: WithKeys, v: Values, alter: Callable) -> Results:
    (key,) = v.parameters.values()
    heads, name = wrapped.layer.heads, wrapped.layer.name
    root = v.x.dtype.type(math.sqrt(v.x.shape[-1] // heads))
    queries = _heads(alter("forward", "input", v.x), heads)
    keys = _heads(alter("forward", "weight", key), heads)
    y = queries @ _turned(keys) / root
    keys = _heads(alter("grad_in", "weight", key), heads)
    dquery = _joined(alter("grad_in", "input", v.dy) @ keys / root)
    queries = _heads(alter("grad_wt", "input", v.x), heads)
    dkey = _joined(_turned(alter("grad_wt", "weight", v.dy)) @ queries / root)
    return {
        "output": alter("forward", "output", y),
        "gradient/input": alter("grad_in", "output", dquery),
        f"gradient/{name}/second": alter("grad_wt", "output", dkey),
    }


def _context(wrapped: WithValues, v: Values, alter: Callable) -> Results:
    (value,) = v.parameters.values()
    heads, name = v.x.shape[1], wrapped.layer.name
    values = _heads(alter("forward", "weight", value), heads)
    y = _joined(alter("forward", "input", v.x) @ values)
    incoming = _heads(alter("grad_in", "input", v.dy), heads)
    dx = incoming @ _turned(_heads(alter("grad_in", "weight", value), heads))
    incoming = _heads(alter("grad_wt", "weight", v.dy), heads)
    dvalue = _joined(_turned(alter("grad_wt", "input", v.x)) @ incoming)
    return {
        "output": alter("forward", "output", y),
        "gradient/input": alter("grad_in", "output", dx),
        f"gradient/{name}/second": alter("grad_wt", "output", dvalue),
    }


def _softmax(layer: CausalSoftmax, v: Values, alter: Callable) -> Results:
    x = alter("forward", "input", v.x)
    later = np.triu(np.ones(x.shape[-2:], bool), 1)
    x = np.where(later, x.dtype.type(-np.inf), x)
    powers = np.exp(x - x.max(-1, keepdims=True))
    y = alter("forward", "output", powers / powers.sum(-1, keepdims=True))
    dy = alter("grad_in", "input", v.dy)
    dx = y * (dy - (dy * y).sum(-1, keepdims=True))
    return {"output": y, "gradient/input": alter("grad_in", "output", dx)}


def _layer_norm(layer: LayerNorm, v: Values, alter: Callable) -> Results:
    gamma, beta = v.parameters.values()
    width, each = v.x.shape[-1], tuple(range(v.x.ndim - 1))
    x = alter("forward", "input", v.x)
    mean = alter("forward", "mean", x.sum(-1) / width)[..., np.newaxis]
    variance = ((x - mean) ** 2).sum(-1) / width
    inverse = 1 / np.sqrt(variance + layer.epsilon)
    inverse = alter("forward", "inverse_deviation", inverse)[..., np.newaxis]
    y = (x - mean) * (inverse * alter("forward", "weight", gamma))
    y = y + alter("forward", "bias", beta)

    dy = alter("grad_in", "input", v.dy)
    normal, scaled = (v.x - mean) * inverse, dy * gamma
    parts = (
        scaled.sum(-1, keepdims=True) / width,
        normal * ((scaled * normal).sum(-1, keepdims=True) / width),
    )
    dgamma = alter("grad_wt", "output", (dy * normal).sum(each))
    return {
        "output": alter("forward", "output", y),
        "gradient/input": alter(
            "grad_in", "output", (scaled - parts[0] - parts[1]) * inverse
        ),
        f"gradient/{layer.name}/gamma": dgamma,
        f"gradient/{layer.name}/beta": alter("grad_wt", "bias_output", dy.sum(each)),
    }


def _gelu(layer: GELU, v: Values, alter: Callable) -> Results:
    def probability(x: np.ndarray) -> np.ndarray:
        exact = [math.erfc(-value / math.sqrt(2)) / 2 for value in x.flat]
        return np.array(exact, x.dtype).reshape(x.shape)

    x = alter("forward", "input", v.x)
    y = alter("forward", "output", x * probability(x))
    slope = probability(v.x) + v.x * np.exp(-v.x * v.x / 2) / math.sqrt(2 * math.pi)
    dx = alter("grad_in", "input", v.dy) * slope.astype(v.x.dtype)
    return {"output": y, "gradient/input": alter("grad_in", "output", dx)}


def _looked_up(wrapped: LookedUp, v: Values, alter: Callable) -> Results:
    tokens = np.array(wrapped.tokens)
    y = alter("forward", "weight", v.x)[tokens]
    incoming = alter("grad_wt", "input", v.dy)
    dtable = np.zeros_like(v.x)
    np.add.at(dtable, tokens, incoming)
    return {
        "output": alter("forward", "output", y),
        "gradient/input": alter("grad_wt", "output", dtable),
    }


def _position(layer: PositionEmbedding, v: Values, alter: Callable) -> Results:
    (table,) = v.parameters.values()
    y = alter("forward", "input", v.x) + alter("forward", "weight", table)
    dtable = alter("grad_wt", "input", v.dy).sum(0)
    return {
        "output": alter("forward", "output", y),
        "gradient/input": alter("grad_in", "output", v.dy),
        f"gradient/{layer.name}/table": alter("grad_wt", "output", dtable),
    }


DECODER = {
    CausalSoftmax: _softmax,
    GELU: _gelu,
    LayerNorm: _layer_norm,
    LookedUp: _looked_up,
    PositionEmbedding: _position,
    WithKeys: _scores,
    WithValues: _context,
}
