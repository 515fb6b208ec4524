# SPDX-License-Identifier: Apache-2.0
"""Compositions know their shapes and refuse parts that do not fit."""

import pytest

from tpufi.layers import Concatenation, Conv2D, ReLU, Residual, Sequence

SHAPE = (6, 4, 3)


def test_a_concatenation_has_the_channels_of_its_input_and_its_branch():
    new = Concatenation(Sequence((ReLU("relu"), Conv2D("conv", 5, 3))))
    assert new.output_shape(SHAPE) == (6, 4, 8)
    assert [(la.name, s) for la, s in new.layers(SHAPE)] == [
        ("relu", SHAPE),
        ("conv", SHAPE),
    ]


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (Concatenation(Conv2D("conv", 5, 3, 2)), "pixels of a concatenation differ"),
        (Residual(Conv2D("conv", 5, 3)), "branches of a residual differ"),
    ],
)
def test_parts_of_different_size_are_refused(part, message):
    with pytest.raises(ValueError, match=message):
        part.output_shape(SHAPE)
