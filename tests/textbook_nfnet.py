# SPDX-License-Identifier: Apache-2.0
"""The layers of NF-ResNet in numpy; see `tests.textbook`."""

import dataclasses
from collections.abc import Callable

import numpy as np

from tests.layer_cases import Values
from tpufi.layers import Scale, SkipGain, StandardisedConv2D

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
