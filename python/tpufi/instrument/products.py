# SPDX-License-Identifier: Apache-2.0
"""The products of a program that a broken unit can have a part in."""

import dataclasses
import re
from collections.abc import Callable, Sequence

import tensorflow as tf

from tpufi.element import ELEMENTS
from tpufi.errors import InputError
from tpufi.instrument.contraction import of_einsum, of_matmul
from tpufi.instrument.macs import operands_of
from tpufi.layers.conv_views import (
    depthwise_forward_view,
    depthwise_input_gradient_view,
    depthwise_kernel_gradient_view,
    forward_view,
    input_gradient_view,
    kernel_gradient_view,
)
from tpufi.layers.matrix_view import MatrixView, sizes_of
from tpufi.layers.patches import Window, same_padding

View = Callable[[tf.Tensor, tf.Tensor], MatrixView]
# Types of operations that multiply, also such that no unit is known to compute.
_MULTIPLY = re.compile(
    r"MatMul|Conv(?!ert)|Einsum|XlaDot|RNN|(LSTM|GRU)Block|BlockLSTM"
)
# By operation: the views of a convolution's three products.
_FORWARD = {"Conv2D": forward_view, "DepthwiseConv2dNative": depthwise_forward_view}
_OF_INPUT = {
    "Conv2DBackpropInput": input_gradient_view,
    "DepthwiseConv2dNativeBackpropInput": depthwise_input_gradient_view,
}
_OF_KERNEL = {
    "Conv2DBackpropFilter": kernel_gradient_view,
    "DepthwiseConv2dNativeBackpropFilter": depthwise_kernel_gradient_view,
}


def multiplies(op: str) -> bool:
    """Return whether operations of a type compute products, by its name."""
    return _MULTIPLY.search(op) is not None


@dataclasses.dataclass(frozen=True, eq=False)
class Product:
    """An operation as the product of two matrices.

    Args:
      kind: products of one kind are computed alike.
      inputs: the numbers of the operation's inputs that are multiplied, the operand
        with the weights last.
      left: shape and type of the first.
      right: those of the second.
      result: those of the result.
      view: makes the product as matrices of its operands.
    """

    kind: tuple
    inputs: tuple[int, int]
    left: tf.TensorSpec
    right: tf.TensorSpec
    result: tf.TensorSpec
    view: View

    @property
    def dtype(self) -> str:
        """Type of the operands and the result."""
        return self.result.dtype.name


def product_of(operation: tf.Operation) -> Product:
    """Return an operation as a product.

    Args:
      operation: one that `multiplies`.

    Raises:
      InputError: units do not have it; the message is the reason.
    """
    inputs = operands_of(operation)
    if not inputs:
        raise InputError(f"{operation.type} is not a product of two matrices")
    tensors = *(operation.inputs[i] for i in inputs), operation.outputs[0]
    types = {tensor.dtype.name for tensor in tensors}
    if len(types) > 1 or not ELEMENTS.get(*types).exponent_bits:
        raise InputError(f"elements of type {', '.join(sorted(types))}")
    if any(tensor.shape.rank is None for tensor in tensors):
        raise InputError("the rank of an operand is only known when the program runs")
    left, right, result = (tf.TensorSpec(t.shape, t.dtype) for t in tensors)
    attributes = sorted(
        (name, value.SerializeToString(deterministic=True))
        for name, value in operation.node_def.attr.items()
        if not name.startswith("_")
    )
    kind = operation.type, *attributes, left, right, result
    make = _convolution if "Conv" in operation.type else _contraction
    return Product(kind, inputs, left, right, result, make(operation, *tensors))


def _contraction(
    operation: tf.Operation, left: tf.Tensor, right: tf.Tensor, result: tf.Tensor
) -> View:
    if operation.type == "Einsum":
        return of_einsum(operation.get_attr("equation").decode()).view
    names = {"MatMul": ("transpose_a", "transpose_b")}
    names = names.get(operation.type, ("adj_x", "adj_y"))
    transposes = tuple(operation.get_attr(name) for name in names)
    return of_matmul(left.shape, right.shape, transposes).view


def _convolution(
    operation: tf.Operation, left: tf.Tensor, right: tf.Tensor, result: tf.Tensor
) -> View:
    kind = operation.type
    if operation.get_attr("data_format") != b"NHWC":
        raise InputError("its images are not in the order NHWC")
    images, kernel, pixels = left, right, result
    if kind in _OF_INPUT:
        images, pixels = result, left
    elif kind in _OF_KERNEL:
        kernel, pixels = result, right
    known = *images.shape[1:], *kernel.shape, *pixels.shape[1:]
    if None in known:
        raise InputError("a size of it is only known when the program runs")
    if images.shape[3] != kernel.shape[2]:
        raise InputError("its channels are in groups")
    window = _window(operation, images.shape[1:3], kernel.shape[:2])
    if window.pixels != tuple(pixels.shape[1:3]):
        raise InputError(f"its result has {pixels.shape[1:3]} pixels")
    if kind in _FORWARD:
        return lambda x, kernel: _FORWARD[kind](x, kernel, window)
    if kind in _OF_KERNEL:
        shape = kernel.shape.as_list()
        return lambda x, dy: _OF_KERNEL[kind](x, shape, dy, window)
    sizes = images.shape[1:].as_list()

    def of_input(dy: tf.Tensor, kernel: tf.Tensor) -> MatrixView:
        return _OF_INPUT[kind]([sizes_of(dy)[0], *sizes], kernel, dy, window)

    return of_input


def _window(
    operation: tf.Operation, sizes: Sequence[int], kernel: Sequence[int]
) -> Window:
    """Return how a convolution's kernel moves over its images."""
    strides, apart = (operation.get_attr(n)[1:3] for n in ("strides", "dilations"))
    padding = operation.get_attr("padding")
    given = operation.get_attr("explicit_paddings") if padding == b"EXPLICIT" else ()
    pixels, offsets = [], []
    for axis, (size, taps, stride, between) in enumerate(
        zip(sizes, kernel, strides, apart, strict=True)
    ):
        reach = (taps - 1) * between + 1
        before = after = 0
        if padding == b"SAME":
            pixels.append(-(-size // stride))
            offsets.append(same_padding(size, reach, stride))
            continue
        if given:
            before, after = given[2 + 2 * axis : 4 + 2 * axis]
        pixels.append((size + before + after - reach) // stride + 1)
        offsets.append(before)
    moves = tuple(strides), (1, 1), tuple(apart)
    return Window(tuple(kernel), tuple(offsets), tuple(pixels), *moves)
