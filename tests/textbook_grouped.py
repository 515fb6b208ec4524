# SPDX-License-Identifier: Apache-2.0
"""Grouped convolution in numpy, made of one convolution for each group."""

import dataclasses
from collections.abc import Callable

import numpy as np

from tests.layer_cases import Values
from tpufi.layers import GroupedConv2D

Results = dict[str, np.ndarray]
Name = tuple[str, str]


def grouped(
    layer: GroupedConv2D, v: Values, alter: Callable, convolve: Callable
) -> Results:
    """Convolve by groups.

    The operands of the groups, put together, are what positions refer to. They are
    collected first, altered whole, and cut again.

    Args:
      layer: the layer.
      v: its values.
      alter: see `tests.textbook`.
      convolve: the textbook of `Conv2D`.
    """
    whole: dict[Name, np.ndarray] = {}

    def each_group(see: Callable) -> None:
        for group in range(layer.groups):
            own = dataclasses.replace(
                v,
                x=np.split(v.x, layer.groups, -1)[group],
                dy=np.split(v.dy, layer.groups, -1)[group],
                parameters={
                    name: np.split(w, layer.groups, -1)[group]
                    for name, w in v.parameters.items()
                },
            )
            convolve(layer, own, lambda *args, g=group: see(g, *args))

    found: dict[Name, list[np.ndarray]] = {}

    def collect(_: int, direction: str, operand: str, x: np.ndarray) -> np.ndarray:
        found.setdefault((direction, operand), []).append(x)
        return x

    def substitute(
        group: int, direction: str, operand: str, x: np.ndarray
    ) -> np.ndarray:
        name = direction, operand
        if operand != "output":
            return np.split(whole[name], layer.groups, _axis(name))[group]
        return collect(group, direction, operand, x)

    each_group(collect)
    for name, parts in found.items():
        if name[1] != "output":
            whole[name] = alter(*name, np.concatenate(parts, _axis(name)))
    found.clear()
    each_group(substitute)
    y, dx, dkernel = (
        alter(*name, np.concatenate(found[name], _axis(name)))
        for name in (
            ("forward", "output"),
            ("grad_in", "output"),
            ("grad_wt", "output"),
        )
    )
    return {
        "output": y,
        "gradient/input": dx,
        "gradient/conv/kernel": dkernel.transpose(1, 2, 0, 3),
    }


def _axis(name: Name) -> int:
    """Axis along which the groups of an operand follow each other."""
    return 0 if name == ("grad_wt", "input") else -1
