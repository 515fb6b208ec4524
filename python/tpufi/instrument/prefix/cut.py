# SPDX-License-Identifier: Apache-2.0
"""Cuts a function in two: what some operations can change, and what they cannot."""

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Set

from tensorflow.core.framework import function_pb2, node_def_pb2

from tpufi.instrument.splice import SUM_OF_RECORDS, is_no_record
from tpufi.instrument.traced_program import op_definition

# Cheaper to do again than to keep, and a weight is not to be kept at all.
_FREE = {"Const", "HashTableV2", "Identity", "ReadVariableOp", "VarHandleOp"}
_CROSSING = "tpufi_crossing"


@dataclasses.dataclass(frozen=True)
class Cut:
    """The two halves of a function.

    Args:
      before: takes the function's inputs and returns the tensors that cross the cut.
      after: takes the function's inputs and these tensors, and returns the function's
        results.
    """

    before: function_pb2.FunctionDef
    after: function_pb2.FunctionDef


def cut(definition: function_pb2.FunctionDef, starts: Set[str], name: str) -> Cut:
    """Cut an armed function in front of some operations.

    The second half holds these operations and all that need their results; so it can
    be run again with other faults at them while the tensors that cross stay as they
    are. Its record is that of its own sites.

    Args:
      definition: the function; nothing in it may change a state.
      starts: names of operations of it.
      name: ends the names of both halves.
    """
    nodes = {node.name: node for node in definition.node_def}
    below = _below(nodes, starts)
    _forget_records(nodes, below)
    kept, crossing = _needs(definition, nodes, below)
    renamed = {tensor: f"{_CROSSING}_{i}" for i, tensor in enumerate(crossing)}
    types = [_type_of(nodes[_producer(tensor)], tensor) for tensor in crossing]
    after = _empty(definition, f"_after_{name}")
    for tensor, kind in zip(crossing, types, strict=True):
        after.signature.input_arg.add(name=renamed[tensor], type=kind)
    for node in nodes.values():
        if node.name in below or node.name in kept:
            _copy(after, node, below | kept, renamed)
    after.signature.output_arg.extend(definition.signature.output_arg)
    for result, tensor in definition.ret.items():
        after.ret[result] = renamed.get(tensor, tensor)
    return Cut(_before(definition, nodes, crossing, types, name), after)


def _below(nodes: dict, starts: Set[str]) -> set[str]:
    """Return these operations and all that need them."""
    consumers = defaultdict(list)
    for node in nodes.values():
        for tensor in node.input:
            consumers[_producer(tensor)].append(node.name)
    return _reached(starts, consumers.__getitem__)


def _forget_records(nodes: dict, below: set[str]) -> None:
    """Take the records of the first half, which are zeros, out of the sums."""
    for name in below:
        if nodes[name].op == "AddN" and name.endswith(SUM_OF_RECORDS):
            total = node_def_pb2.NodeDef()
            total.CopyFrom(nodes[name])
            nodes[name] = total
            records = [t for t in total.input if _producer(t) in below]
            del total.input[:]
            total.input.extend(records)
            total.attr["N"].i = len(records)


def _needs(
    definition: function_pb2.FunctionDef, nodes: dict, below: set[str]
) -> tuple[set[str], list[str]]:
    """Return what else the second half computes, and the tensors that cross."""
    wanted = [t for name in below for t in nodes[name].input if t[0] != "^"]
    kept: set[str] = set()
    crossing: dict[str, None] = {}
    for tensor in sorted({*wanted, *definition.ret.values()}):
        producer = _producer(tensor)
        if producer in below or producer not in nodes:
            continue  # An argument has no producer.
        if _is_free(nodes, producer):
            kept |= _above(nodes, [producer])
        else:
            crossing[tensor] = None
    return kept, list(crossing)


def _is_free(nodes: dict, name: str) -> bool:
    return all(
        nodes[other].op in _FREE or is_no_record(nodes[other])
        for other in _above(nodes, [name])
    )


def _above(nodes: dict, names: Iterable[str]) -> set[str]:
    """Return these operations and all whose results they need."""

    def inputs(name: str) -> list[str]:
        return [p for p in map(_producer, nodes[name].input) if p in nodes]

    return _reached(names, inputs)


def _reached(names: Iterable[str], next_of) -> set[str]:
    found: set[str] = set()
    pending = list(names)
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending += next_of(name)
    return found


def _before(definition, nodes, crossing, types, name) -> function_pb2.FunctionDef:
    before = _empty(definition, f"_before_{name}")
    above = _above(nodes, map(_producer, crossing))
    for node in definition.node_def:
        if node.name in above:
            _copy(before, node, above, {})
    for number, (tensor, kind) in enumerate(zip(crossing, types, strict=True)):
        result = f"{_CROSSING}_{number}_out"
        before.signature.output_arg.add(name=result, type=kind)
        before.ret[result] = tensor
    return before


def _empty(definition: function_pb2.FunctionDef, suffix: str):
    """Return a function with the same inputs that does nothing."""
    made = function_pb2.FunctionDef()
    made.signature.CopyFrom(definition.signature)
    made.signature.name += suffix
    del made.signature.output_arg[:]
    del made.signature.control_output[:]
    for key, value in definition.attr.items():
        made.attr[key].CopyFrom(value)
    for key, value in definition.arg_attr.items():
        made.arg_attr[key].CopyFrom(value)
    for key, value in definition.resource_arg_unique_id.items():
        made.resource_arg_unique_id[key] = value
    return made


def _copy(made, node: node_def_pb2.NodeDef, there: set[str], renamed: dict) -> None:
    """Copy an operation; what it had to wait for but is not there is done."""
    added = made.node_def.add()
    added.CopyFrom(node)
    del added.input[:]
    for tensor in node.input:
        if tensor[0] != "^" or _producer(tensor) in there:
            added.input.append(renamed.get(tensor, tensor))


def _producer(tensor: str) -> str:
    return tensor.removeprefix("^").split(":")[0]


def _type_of(node: node_def_pb2.NodeDef, tensor: str) -> int:
    """Return the element type of an output called `node:output:i`."""
    _, output, number = tensor.split(":")
    arguments = op_definition(node.op).output_arg
    (argument,) = (a for a in arguments if a.name == output)
    if argument.type_list_attr:
        return node.attr[argument.type_list_attr].list.type[int(number)]
    return argument.type or node.attr[argument.type_attr].type
