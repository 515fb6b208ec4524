# SPDX-License-Identifier: Apache-2.0
"""Results that keep the error of a `_16` fault, against a plain convolution."""

import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tests.chi_square import assert_distributed
from tpufi.fault import Elements
from tpufi.faults.affected_outputs import (
    AffectedOutputs,
    Operation,
    draw_affected_outputs,
    operation,
)
from tpufi.faults.draws import Draws
from tpufi.layers import Conv2D, Dense, DepthwiseConv2D, ReLU, StandardisedConv2D

B = 2


def operation_of(layer, shape, direction="forward") -> Operation | None:
    sites = {
        s.operand: s
        for s in layer.sites(shape, B, "float32")
        if s.direction == direction
    }
    return operation(layer, direction, sites)


def reached(op: Operation, index: int, same: bool) -> set[tuple[int, int, int]]:
    """Return the output pixels that change with one input element, by computing."""
    bump = np.zeros(op.input)
    bump.flat[index] = 1
    change = tf.nn.conv2d(
        bump, np.ones(op.weight), op.stride, "SAME" if same else "VALID"
    )
    assert tuple(change.shape) == op.output
    return {tuple(p) for p in np.argwhere(change.numpy().any(-1)).tolist()}


CONVOLUTIONS = [
    (kernel, stride, size)
    for kernel in (1, 3, 5)
    for stride in (1, 2, 3)
    for size in ((4, 5), (1, 2), (7, 6))
]


@pytest.mark.parametrize(("kernel", "stride", "size"), CONVOLUTIONS)
def test_readers_are_the_results_that_change_with_an_input(kernel, stride, size):
    layer = Conv2D("conv", 3, kernel, stride)
    shape = (*size, 2)
    for direction in ("forward", "grad_in", "grad_wt"):
        op = operation_of(layer, shape, direction)
        # Every pixel once, of one image and channel.
        _, height, width, channels = op.input
        for pixel in range(height * width):
            row, column = divmod(pixel, width)
            rows, columns = op.readers(row, column)
            expected = reached(op, pixel * channels, direction == "forward")
            assert {(0, y, x) for y in rows for x in columns} == expected
            assert direction == "forward" or expected


def channels_kept(confine: AffectedOutputs, op: Operation) -> dict[int, list[int]]:
    """Return pixel -> channels of the results that keep the error."""
    kept: dict[int, list[int]] = {}
    for j in range(confine.count):
        pixel, channel = divmod(confine.start + j * confine.stride, op.output[-1])
        kept.setdefault(pixel, []).append(channel)
    return kept


@pytest.mark.parametrize("filters", [3, 16, 20, 40])
@pytest.mark.parametrize("direction", ["forward", "grad_in", "grad_wt"])
def test_an_input_fault_is_confined_to_16_channels_of_a_pixel_that_reads_it(
    filters, direction
):
    layer = Conv2D("conv", filters, 3, 2)
    op = operation_of(layer, (5, 4, filters), direction)
    for index in range(0, math.prod(op.input), 7):
        possible = reached(op, index, direction == "forward")
        for number in range(3):
            confine = draw_affected_outputs(
                Draws(index, number), op, "input", Elements.run(index, 1), 16
            )
            ((pixel, channels),) = channels_kept(confine, op).items()
            assert tuple(map(int, np.unravel_index(pixel, op.output[:3]))) in possible
            first = channels[0]
            assert first % 16 == 0
            end = min(first + 16, op.output[-1])
            assert channels == list(range(first, end))


@pytest.mark.parametrize("direction", ["forward", "grad_in", "grad_wt"])
def test_a_weight_fault_is_confined_to_16_pixels_of_its_channel(direction):
    op = operation_of(Conv2D("conv", 6, 3, 1), (3, 3, 5), direction)
    pixels = math.prod(op.output[:3])
    for index in range(0, math.prod(op.weight), 5):
        confine = draw_affected_outputs(
            Draws(index, 0), op, "weight", Elements.run(index, 1), 16
        )
        kept = channels_kept(confine, op)
        assert all(channels == [index % op.weight[-1]] for channels in kept.values())
        first = min(kept)
        assert first % 16 == 0
        assert sorted(kept) == list(range(first, min(first + 16, pixels)))


def test_all_places_of_a_confinement_are_equally_likely():
    op = operation_of(Conv2D("conv", 40, 3, 1), (4, 4, 3))
    middle = Elements.run((1 * 4 + 1) * 3, 1)
    starts = [
        draw_affected_outputs(Draws(1, i), op, "input", middle, 16).start
        for i in range(1500)
    ]
    places = [
        (y * 4 + x) * 40 + c for y in range(3) for x in range(3) for c in (0, 16, 32)
    ]
    assert_distributed(starts, dict.fromkeys(places, 1))
    starts = [
        draw_affected_outputs(Draws(2, i), op, "weight", Elements.run(47, 1), 16).start
        for i in range(300)
    ]
    # 32 pixels: two groups; weight 47 belongs to output channel 7.
    assert_distributed(starts, {7: 1, 16 * 40 + 7: 1})


def test_an_element_between_the_windows_reaches_nothing_and_a_group_its_first_reader():
    op = operation_of(Conv2D("conv", 20, 1, 2), (4, 4, 2))
    assert not reached(op, 2, True)  # Pixel (0, 1).
    alone = draw_affected_outputs(Draws(0, 0), op, "input", Elements.run(2, 1), 16)
    assert alone is None
    # The group begins at pixel (0, 1); pixel (0, 2) is the first that is read.
    group = draw_affected_outputs(Draws(0, 0), op, "input", Elements.run(2, 16), 16)
    assert list(channels_kept(group, op)) == [1]


def test_a_group_is_confined_by_its_first_element():
    op = operation_of(Conv2D("conv", 20, 1, 1), (4, 4, 2))
    group = Elements.run(6, 16)
    pixels = {
        next(
            iter(
                channels_kept(
                    draw_affected_outputs(Draws(0, i), op, "input", group, 16), op
                )
            )
        )
        for i in range(20)
    }
    assert pixels == {3}


@given(
    st.sampled_from([1, 3, 5, 7]), st.integers(1, 3), st.integers(1, 9),
    st.integers(1, 9), st.integers(1, 40), st.sampled_from(["input", "weight"]),
    st.sampled_from(["forward", "grad_in", "grad_wt"]), st.integers(0, 1 << 40),
)  # fmt: skip
def test_confined_results_lie_inside_the_output(
    kernel, stride, height, width, filters, operand, direction, seed
):
    op = operation_of(
        Conv2D("conv", filters, kernel, stride), (height, width, 3), direction
    )
    size = math.prod(getattr(op, operand))
    draws = Draws(seed, 0)
    positions = Elements.run(draws.below(size, "start"), 1)
    confine = draw_affected_outputs(draws, op, operand, positions, 16)
    if confine is not None:
        last = confine.start + (confine.count - 1) * confine.stride
        assert 0 <= confine.start <= last < math.prod(op.output)
        assert 1 <= confine.count <= 16


@pytest.mark.parametrize("shape", [(30,), (5, 30)])
@pytest.mark.parametrize("direction", ["forward", "grad_in", "grad_wt"])
def test_a_dense_layer_is_a_convolution_of_single_pixels(direction, shape):
    op = operation_of(Dense("fc", 40), shape, direction)
    sites = {
        s.operand: s.shape
        for s in Dense("fc", 40).sites(shape, B, "float32")
        if s.direction == direction
    }
    for operand, site in sites.items():
        assert math.prod(getattr(op, operand)) == math.prod(site)
    assert op.weight[-1] == sites["weight"][-1] and op.output[-1] == sites["output"][-1]
    # In flat order, row by row, the product is that of the layer.
    x, w = (
        np.random.default_rng(i).random(s) for i, s in enumerate((op.input, op.weight))
    )
    y = tf.nn.conv2d(x, w, 1, "VALID").numpy()
    depth = math.prod(sites["weight"][:-1])
    matrices = x.reshape(-1, depth) @ w.reshape(depth, -1)
    np.testing.assert_allclose(y.reshape(matrices.shape), matrices, rtol=1e-12)


def test_layers_that_mix_no_channels_have_no_operation():
    assert operation_of(StandardisedConv2D("c", 4, 3, 2), (4, 4, 2)) == operation_of(
        Conv2D("c", 4, 3, 2), (4, 4, 2)
    )
    assert operation_of(DepthwiseConv2D("c", 3), (4, 4, 2)) is None
    assert operation_of(ReLU("r"), (4, 4, 2)) is None
    op = operation_of(Dense("fc", 4), (3,))
    with pytest.raises(ValueError, match="not confined"):
        draw_affected_outputs(Draws(0, 0), op, "output", Elements.run(0, 1), 16)
