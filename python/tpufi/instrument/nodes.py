# SPDX-License-Identifier: Apache-2.0
"""Adds operations to a function in the form in which TensorFlow stores it."""

from collections.abc import Sequence

import tensorflow as tf
from tensorflow.core.framework import attr_value_pb2, function_pb2, node_def_pb2


def add_node(
    definition: function_pb2.FunctionDef,
    name: str,
    op: str,
    inputs: Sequence[str],
    **attributes: attr_value_pb2.AttrValue,
) -> node_def_pb2.NodeDef:
    """Add an operation; inputs are arguments or `node:output:i`."""
    node = definition.node_def.add(name=name, op=op, input=inputs)
    for key, value in attributes.items():
        node.attr[key].CopyFrom(value)
    return node


def type_attr(dtype: str | int) -> attr_value_pb2.AttrValue:
    """Return the attribute that names an element type."""
    return attr_value_pb2.AttrValue(type=tf.as_dtype(dtype).as_datatype_enum)


def tensor_attr(value: float, dtype: str) -> attr_value_pb2.AttrValue:
    """Return the attribute that holds a scalar."""
    return attr_value_pb2.AttrValue(tensor=tf.make_tensor_proto(value, dtype, ()))


def constant(
    definition: function_pb2.FunctionDef, name: str, value: float, dtype: str = "int64"
) -> str:
    """Add a constant scalar and return how inputs name it."""
    attributes = {"dtype": type_attr(dtype), "value": tensor_attr(value, dtype)}
    add_node(definition, name, "Const", (), **attributes)
    return f"{name}:output:0"


def binary(
    definition: function_pb2.FunctionDef, name: str, op: str, left: str, right: str
) -> str:
    """Add an operation on two int64 scalars and return how inputs name its result."""
    add_node(definition, name, op, (left, right), T=type_attr("int64"))
    return f"{name}:z:0"
