# SPDX-License-Identifier: Apache-2.0
"""Carries the descriptor through a loop, and the record of all iterations out of it.

A loop carries four more values: the context, which counts its iterations, the
descriptor, and the record so far. A condition returns a truth value and no record; so
one with sites is called beside the loop instead, before it and at the end of each
iteration, and the loop carries its result as a fifth value. It is then computed as
often, and of the same values, as in the program.
"""

from tensorflow.core.framework import function_pb2, node_def_pb2, types_pb2

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
from tpufi.instrument.extended_calls import (
    add_shapes,
    data_inputs,
    forget_replaced,
    insert_inputs,
)
from tpufi.instrument.nodes import add_node, binary, constant, type_attr

_ADDED = "/tpufi_loop"
_SO_FAR, _GO_ON = "tpufi_record_so_far", "tpufi_go_on"


def extend(
    definition: function_pb2.FunctionDef,
    node: node_def_pb2.NodeDef,
    body: function_pb2.FunctionDef,
    condition: str | None,
    ops,
) -> str:
    """Make a loop run a changed body; return the name of its record.

    Args:
      definition: the function with the loop, which has been given the added arguments.
      node: the loop; changed in place, but for its condition.
      body: the changed body; made to carry the added values.
      condition: name of the changed condition; None: it has no site.
      ops: makes a record of zeros (`tpufi.instrument.splice.PlaceOps`).
    """
    call = "PartitionedCall" if "Stateless" in node.op else "StatefulPartitionedCall"
    _carry(body, call, condition)
    forget_replaced(node)
    node.attr["body"].func.name = body.signature.name
    name = f"{node.name}{_ADDED}"
    first = _first_context(definition, name)
    added = [*ARGUMENTS, (RECORD, RECORD_TYPE, RECORD_SHAPE)]
    if condition is None:
        values = (ops.no_record(definition, f"{name}/no_record"),)
    else:
        inputs = data_inputs(node), list(node.attr["T"].list.type)
        go_on, record = _call(definition, f"{name}/go_on", call, condition, *inputs,
                              first)  # fmt: skip
        values = record, go_on
        added.append((_GO_ON, types_pb2.DT_BOOL, ()))
    node.attr["T"].list.type.extend(kind for _, kind, _ in added)
    add_shapes(node, [shape for _, _, shape in added])
    insert_inputs(node, (first, FAULTS, WORDS, *values))
    place = len(node.attr["T"].list.type) - len(values)
    return f"{node.name}:output:{place}"


def own_condition(original: function_pb2.FunctionDef) -> function_pb2.FunctionDef:
    """Return a loop's condition that also takes what the loop carries."""
    definition = function_pb2.FunctionDef()
    definition.CopyFrom(original)
    definition.attr.pop("_input_shapes", None)
    for name, kind, _ in (*ARGUMENTS, (RECORD, RECORD_TYPE, None)):
        definition.signature.input_arg.add(name=name, type=kind)
    return definition


def carried_condition(body: function_pb2.FunctionDef) -> function_pb2.FunctionDef:
    """Return the condition of a loop that carries whether it goes on."""
    definition = function_pb2.FunctionDef()
    definition.signature.name = f"{body.signature.name}_go_on"
    definition.signature.input_arg.extend(body.signature.input_arg)
    definition.signature.output_arg.add(name="go_on", type=types_pb2.DT_BOOL)
    add_node(definition, "same", "Identity", (_GO_ON,), T=type_attr("bool"))
    definition.ret["go_on"] = "same:output:0"
    return definition


def _carry(body: function_pb2.FunctionDef, call: str, condition: str | None) -> None:
    """Make a function with a record into the body of a loop that carries it.

    It returns the context of the next iteration, the descriptor as it is, the sum of
    the record so far and its own, and whether the loop goes on if that is carried.
    """
    signature = body.signature
    signature.input_arg.add(name=_SO_FAR, type=RECORD_TYPE)
    records = [_SO_FAR, body.ret.pop(RECORD)]
    del signature.output_arg[-1]
    one = constant(body, "tpufi_next/one", REPLICAS)
    later = binary(body, "tpufi_next", "AddV2", CONTEXT, one)
    go_on = None
    if condition is not None:
        signature.input_arg.add(name=_GO_ON, type=types_pb2.DT_BOOL)
        next_values = [body.ret[result.name] for result in signature.output_arg]
        types = [result.type for result in signature.output_arg]
        go_on, record = _call(body, "tpufi_next/go_on", call, condition, next_values,
                              types, later)  # fmt: skip
        records.append(record)
    name, record_type = "tpufi_record_after", type_attr("int64")
    total = add_node(body, name, "AddN", records, T=record_type)
    total.attr["N"].i = len(records)
    results = {CONTEXT: later}
    for argument, dtype in ((FAULTS, "int64"), (WORDS, "uint64")):
        same = f"{argument}_passed"
        add_node(body, same, "Identity", (argument,), T=type_attr(dtype))
        results[argument] = f"{same}:output:0"
    for argument, kind, _ in ARGUMENTS:
        signature.output_arg.add(name=f"{argument}_out", type=kind)
        body.ret[f"{argument}_out"] = results[argument]
    signature.output_arg.add(name=RECORD, type=RECORD_TYPE)
    body.ret[RECORD] = f"{name}:sum:0"
    if go_on is not None:
        signature.output_arg.add(name=f"{_GO_ON}_out", type=types_pb2.DT_BOOL)
        body.ret[f"{_GO_ON}_out"] = go_on


def _call(
    definition: function_pb2.FunctionDef,
    name: str,
    op: str,
    condition: str,
    values: list[str],
    types: list[int],
    context: str,
) -> tuple[str, str]:
    """Add a call of a condition; return the names of its result and its record."""
    node = add_node(definition, name, op, (*values, context, FAULTS, WORDS))
    node.attr["f"].func.name = condition
    node.attr["Tin"].list.type.extend([*types, *(kind for _, kind, _ in ARGUMENTS)])
    node.attr["Tout"].list.type.extend([types_pb2.DT_BOOL, RECORD_TYPE])
    return f"{name}:output:0", f"{name}:output:1"


def _first_context(definition: function_pb2.FunctionDef, name: str) -> str:
    """Add the context of a loop's iteration 0; return its name."""
    replicas = constant(definition, f"{name}/replicas", REPLICAS)
    replica = binary(definition, f"{name}/replica", "FloorMod", CONTEXT, replicas)
    path = binary(definition, f"{name}/path", "Sub", CONTEXT, replica)
    iterations = constant(definition, f"{name}/iterations", ITERATIONS)
    path = binary(definition, f"{name}/inner", "Mul", path, iterations)
    return binary(definition, f"{name}/first", "AddV2", path, replica)
