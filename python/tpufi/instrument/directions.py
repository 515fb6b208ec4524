# SPDX-License-Identifier: Apache-2.0
"""Tells which operations of a function compute gradients and which use them."""

import re
from collections import defaultdict

from tensorflow.core.framework import function_pb2, types_pb2

# Scopes that a tape and `tf.gradients` give to what they add.
_GRADIENT_SCOPE = re.compile(r"(^|/)(gradient_tape|gradients(_\d+)?)/")
_NO_NUMBERS = {"EmptyTensorList", "TensorListReserve", "VariableShape", "Shape"}
_HANDLES = {types_pb2.DT_RESOURCE, types_pb2.DT_VARIANT}


def directions_of(definition: function_pb2.FunctionDef, caller: str) -> dict[str, str]:
    """Return the direction of each operation.

    `backward` is what a gradient scope holds, `update` what needs a result of it, and
    `forward` the rest.

    Args:
      definition: the function.
      caller: direction of the operation that calls it; all of a function that is not
        called in the forward direction belongs to its caller.
    """
    if caller != "forward":
        return {node.name: caller for node in definition.node_def}
    consumers = defaultdict(list)
    for node in definition.node_def:
        for name in node.input:
            consumers[name.split(":")[0]].append(node.name)
    nodes = {node.name: node for node in definition.node_def}
    found = {name: "forward" for name in nodes}
    found |= {name: "backward" for name in nodes if _GRADIENT_SCOPE.search(name)}
    pending = [
        name
        for name, direction in found.items()
        # The stacks of a loop's gradient are made first, then filled by the loop.
        if direction == "backward" and nodes[name].op not in _NO_NUMBERS
    ]
    while pending:
        for consumer in consumers[pending.pop()]:
            if found[consumer] == "forward" and not _is_forward_loop(nodes[consumer]):
                found[consumer] = "update"
                pending.append(consumer)
    return found


def _is_forward_loop(node) -> bool:
    """Whether this is a loop that fills stacks for its gradient."""
    if node.op not in ("While", "StatelessWhile", "If", "StatelessIf"):
        return False
    kinds = node.attr["T"].list.type or node.attr["Tout"].list.type
    return any(kind in _HANDLES for kind in kinds) and "gradient" not in node.name
