# SPDX-License-Identifier: Apache-2.0
"""Passes the descriptor to functions that an operation calls, and their record back.

A call or a branch takes three more inputs and has one more output. A loop carries four
more values: the context, which counts its iterations, the descriptor, and the record so
far.
"""

from collections.abc import Iterable, Sequence

import tensorflow as tf
from tensorflow.core.framework import function_pb2, node_def_pb2

from tpufi.instrument.added_values import (
    ARGUMENTS,
    CONTEXT,
    FAULTS,
    RECORD,
    RECORD_SHAPE,
    RECORD_TYPE,
    WORDS,
)
from tpufi.instrument.context import ITERATIONS, REPLICAS
from tpufi.instrument.nodes import add_node, binary, constant, type_attr


def extend(
    definition: function_pb2.FunctionDef,
    node: node_def_pb2.NodeDef,
    functions: list[tuple[str, str]],
    splicer,
) -> str:
    """Make a call run changed functions; return the name of its record.

    Args:
      definition: the calling function, which has been given the added arguments.
      node: the calling operation; changed in place.
      functions: (attribute, name of the changed function) of all it calls but the
        condition of a loop.
      splicer: makes what else is needed (`tpufi.instrument.splice.Splicer`).
    """
    # Gradients and pre-computed shapes belong to the function that is replaced.
    for stale in ("_gradient_op_type", "_output_shapes", "_num_original_outputs"):
        node.attr.pop(stale, None)
    for kind, name in functions:
        if kind != "branches":
            node.attr[kind].func.name = name
    branches = [name for kind, name in functions if kind == "branches"]
    for function, name in zip(node.attr["branches"].list.func, branches, strict=True):
        function.name = name
    if not branches:
        node.attr.pop("branches", None)
    if "While" in node.op:
        return _extend_loop(definition, node, splicer)
    node.attr["Tin"].list.type.extend(kind for _, kind, _ in ARGUMENTS)
    node.attr["Tout"].list.type.append(RECORD_TYPE)
    _add_shapes(node, [RECORD_SHAPE])
    _insert_inputs(node, (CONTEXT, FAULTS, WORDS))
    return f"{node.name}:output:{len(node.attr['Tout'].list.type) - 1}"


def make_loop_body(definition: function_pb2.FunctionDef) -> None:
    """Make a function with a record into the body of a loop that carries it.

    It returns the context of the next iteration, the descriptor as it is, and the sum
    of the record so far and its own.
    """
    signature = definition.signature
    signature.input_arg.add(name="tpufi_record_so_far", type=RECORD_TYPE)
    own = definition.ret.pop(RECORD)
    del signature.output_arg[-1]
    one = constant(definition, "tpufi_next/one", REPLICAS)
    later = binary(definition, "tpufi_next", "AddV2", CONTEXT, one)
    total = add_node(
        definition,
        "tpufi_record_after",
        "AddN",
        ("tpufi_record_so_far", own),
        T=type_attr("float32"),
    )
    total.attr["N"].i = 2
    results = {CONTEXT: later}
    for argument, dtype in ((FAULTS, "int64"), (WORDS, "uint64")):
        same = f"{argument}_passed"
        add_node(definition, same, "Identity", (argument,), T=type_attr(dtype))
        results[argument] = f"{same}:output:0"
    for argument, kind, _ in ARGUMENTS:
        signature.output_arg.add(name=f"{argument}_out", type=kind)
        definition.ret[f"{argument}_out"] = results[argument]
    signature.output_arg.add(name=RECORD, type=RECORD_TYPE)
    definition.ret[RECORD] = "tpufi_record_after:sum:0"


def _extend_loop(definition, node, splicer) -> str:
    name = f"{node.name}/tpufi_loop"
    replicas = constant(definition, f"{name}/replicas", REPLICAS)
    replica = binary(definition, f"{name}/replica", "FloorMod", CONTEXT, replicas)
    path = binary(definition, f"{name}/path", "Sub", CONTEXT, replica)
    iterations = constant(definition, f"{name}/iterations", ITERATIONS)
    path = binary(definition, f"{name}/inner", "Mul", path, iterations)
    first = binary(definition, f"{name}/first", "AddV2", path, replica)
    record = splicer.no_record(definition, f"{name}/no_record")
    node.attr["T"].list.type.extend((*(kind for _, kind, _ in ARGUMENTS), RECORD_TYPE))
    _add_shapes(node, [*(shape for _, _, shape in ARGUMENTS), RECORD_SHAPE])
    _insert_inputs(node, (first, FAULTS, WORDS, record))
    condition = node.attr["cond"].func
    condition.name = splicer.keep_going(condition.name)
    return f"{node.name}:output:{len(node.attr['T'].list.type) - 1}"


def _add_shapes(
    node: node_def_pb2.NodeDef, shapes: Iterable[Sequence[int | None]]
) -> None:
    """Add shapes to those of the outputs, if the operation tells them."""
    if node.attr["output_shapes"].list.shape:
        added = (tf.TensorShape(shape).as_proto() for shape in shapes)
        node.attr["output_shapes"].list.shape.extend(added)
    else:
        node.attr.pop("output_shapes", None)


def _insert_inputs(node: node_def_pb2.NodeDef, added: tuple[str, ...]) -> None:
    """Add inputs behind the others, which control inputs have to follow."""
    data = [name for name in node.input if not name.startswith("^")]
    control = [name for name in node.input if name.startswith("^")]
    del node.input[:]
    node.input.extend([*data, *added, *control])
