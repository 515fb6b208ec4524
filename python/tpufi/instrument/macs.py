# SPDX-License-Identifier: Apache-2.0
"""Operations that multiply two operands, and their multiply-accumulates."""

import math

import tensorflow as tf

# Which inputs of an operation are its operands, the one with the weights last.
MULTIPLYING = {
    "BatchMatMul": (0, 1),
    "BatchMatMulV2": (0, 1),
    "BatchMatMulV3": (0, 1),
    "Conv2D": (0, 1),
    "Conv2DBackpropFilter": (0, 2),
    "Conv2DBackpropInput": (2, 1),
    "DepthwiseConv2dNative": (0, 1),
    "DepthwiseConv2dNativeBackpropFilter": (0, 2),
    "DepthwiseConv2dNativeBackpropInput": (2, 1),
    "Einsum": (0, 1),
    "MatMul": (0, 1),
}


def operands_of(operation: tf.Operation) -> tuple[int, ...]:
    """Return the numbers of the inputs that an operation multiplies, or none."""
    found = MULTIPLYING.get(operation.type, ())
    return found if len(operation.inputs) > max(found, default=-1) else ()


def is_weight(operation: tf.Operation, number: int) -> bool:
    """Return whether an operand is what a batch shares, as a kernel is.

    Two operands with a batch each, as in attention, are both inputs.

    Args:
      operation: one that multiplies.
      number: of its input.
    """
    first, _ = operands_of(operation)
    if number == first:
        return False
    if operation.type.startswith("BatchMatMul"):
        rank = operation.inputs[number].shape.rank
        return rank is not None and rank < 3
    if operation.type == "Einsum":
        left, right, *_ = operation.get_attr("equation").decode().split(",")
        return left.strip()[:1] != right.strip()[:1]
    return True


def macs_of(operation: tf.Operation) -> int:
    """Return the multiply-accumulates of an operation; 0: none, or not known.

    Those of a convolution are counted without regard to its edges.
    """
    if not operands_of(operation):
        return 0
    shapes = [tensor.shape for tensor in (*operation.inputs, operation.outputs[0])]
    if not all(shape.is_fully_defined() for shape in shapes):
        return 0
    *inputs, output = (tuple(shape.as_list()) for shape in shapes)
    kind = operation.type
    if kind == "Einsum":
        return _of_einsum(operation.get_attr("equation").decode(), inputs)
    if "MatMul" in kind:
        transposed = operation.get_attr("transpose_a" if kind == "MatMul" else "adj_x")
        return math.prod(output) * inputs[0][-2 if transposed else -1]
    kernel, pixels = inputs[1], output
    if kind.endswith("Filter"):
        kernel, pixels = output, inputs[2]
    elif kind.endswith("Input"):
        pixels = inputs[2]
    each = kernel[:2] if kind.startswith("Depthwise") else kernel[:3]
    return math.prod(pixels) * math.prod(each)


def _of_einsum(equation: str, shapes: list[tuple[int, ...]]) -> int:
    labels = equation.partition("->")[0].split(",")
    if len(labels) != len(shapes) or "." in equation:
        return 0
    sizes = {
        label: size
        for names, shape in zip(labels, shapes, strict=True)
        for label, size in zip(names.strip(), shape, strict=True)
    }
    return math.prod(sizes.values())
