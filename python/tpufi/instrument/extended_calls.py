# SPDX-License-Identifier: Apache-2.0
"""Passes the descriptor to functions that an operation calls, and their record back.

A call or a branch takes three more inputs and has one more output.
"""

from collections.abc import Iterable, Sequence

import tensorflow as tf
from tensorflow.core.framework import node_def_pb2

from tpufi.instrument.added_values import (
    ARGUMENTS,
    CONTEXT,
    FAULTS,
    RECORD_SHAPE,
    RECORD_TYPE,
    WORDS,
)

# Gradients and pre-computed shapes belong to the function that is replaced.
_STALE = ("_gradient_op_type", "_output_shapes", "_num_original_outputs")


def extend(node: node_def_pb2.NodeDef, functions: list[tuple[str, str]]) -> str:
    """Make a call or a branch run changed functions; return the name of its record.

    Args:
      node: the calling operation; changed in place.
      functions: (attribute, name of the changed function) of all it calls.
    """
    forget_replaced(node)
    for kind, name in functions:
        if kind != "branches":
            node.attr[kind].func.name = name
    branches = [name for kind, name in functions if kind == "branches"]
    for function, name in zip(node.attr["branches"].list.func, branches, strict=True):
        function.name = name
    if not branches:
        node.attr.pop("branches", None)
    node.attr["Tin"].list.type.extend(kind for _, kind, _ in ARGUMENTS)
    node.attr["Tout"].list.type.append(RECORD_TYPE)
    add_shapes(node, [RECORD_SHAPE])
    insert_inputs(node, (CONTEXT, FAULTS, WORDS))
    return f"{node.name}:output:{len(node.attr['Tout'].list.type) - 1}"


def forget_replaced(node: node_def_pb2.NodeDef) -> None:
    """Drop what TensorFlow noted of the functions that are replaced."""
    for stale in _STALE:
        node.attr.pop(stale, None)


def add_shapes(
    node: node_def_pb2.NodeDef, shapes: Iterable[Sequence[int | None]]
) -> None:
    """Add shapes to those of the outputs, if the operation tells them."""
    if node.attr["output_shapes"].list.shape:
        added = (tf.TensorShape(shape).as_proto() for shape in shapes)
        node.attr["output_shapes"].list.shape.extend(added)
    else:
        node.attr.pop("output_shapes", None)


def data_inputs(node: node_def_pb2.NodeDef) -> list[str]:
    """Return the inputs that are tensors, in order."""
    return [name for name in node.input if not name.startswith("^")]


def insert_inputs(node: node_def_pb2.NodeDef, added: tuple[str, ...]) -> None:
    """Add inputs behind the others, which control inputs have to follow."""
    data = data_inputs(node)
    control = [name for name in node.input if name.startswith("^")]
    del node.input[:]
    node.input.extend([*data, *added, *control])
