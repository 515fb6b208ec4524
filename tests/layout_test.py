# SPDX-License-Identifier: Apache-2.0
"""Layouts of textbook operands, against the operands that a textbook builds."""

import numpy as np
import pytest
import tensorflow as tf

from tpufi.layers import Conv2D
from tpufi.layers.layout import Layout, whole

BATCH, CHANNELS, FILTERS = 2, 3, 4


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("size", [(6, 7), (5, 8)])
def test_stored_elements_stand_where_the_textbook_has_them(kernel, stride, size):
    layer = Conv2D("conv", FILTERS, kernel, stride)
    shape = (*size, CHANNELS)
    # Distinct numbers and no zero, so that every element tells where it came from.
    x, dy, weight = (
        tf.reshape(tf.range(1.0, 1 + np.prod(s)), s)
        for s in (
            (BATCH, *shape),
            (BATCH, *layer.output_shape(shape)),
            (kernel, kernel, CHANNELS, FILTERS),
        )
    )
    built: dict[tuple[str, str], np.ndarray] = {}

    def keep(tensor: tf.Tensor, direction: str, operand: str) -> tf.Tensor:
        built[direction, operand] = tensor.numpy()
        return tensor

    layer._grad_in(keep, x, weight, dy)
    layer._grad_wt(keep, x, dy)
    stored = {
        ("grad_in", "input"): dy, ("grad_in", "weight"): weight,
        ("grad_wt", "input"): x, ("grad_wt", "weight"): dy,
    }  # fmt: skip
    layouts = layer.textbook(shape, BATCH)
    assert layouts.keys() == built.keys() == stored.keys()
    for key, layout in layouts.items():
        operand, tensor = built[key], stored[key].numpy()
        assert layout.site == operand.shape
        assert layout.stored == tensor.shape
        index = layout.offset + sum(
            np.arange(n).reshape([-1] + [1] * (tensor.ndim - 1 - a)) * stride
            for a, (n, stride) in enumerate(
                zip(tensor.shape, layout.strides, strict=True)
            )
        )
        np.testing.assert_array_equal(operand.reshape(-1)[index], tensor)
        held = layout.holds(np.arange(operand.size))
        np.testing.assert_array_equal(held, operand.reshape(-1) != 0)


def test_a_whole_tensor_holds_every_position():
    layout = whole((2, 3, 4), (1, 2, 0))
    assert isinstance(layout, Layout)
    assert (layout.offset, layout.strides) == (0, (1, 8, 2))
    assert layout.holds(np.arange(24)).all()
