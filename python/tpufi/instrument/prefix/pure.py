# SPDX-License-Identifier: Apache-2.0
"""Tells whether a program can be run in part: whether it changes no state."""

from collections.abc import Mapping

from tensorflow.core.framework import function_pb2

from tpufi.instrument.function_body import CALLS
from tpufi.instrument.traced_program import op_definition

# TensorFlow calls these stateful; they read, or call functions that are looked into.
_HARMLESS = {
    *CALLS,
    "Assert",
    "HashTableV2",
    "LookupTableFindV2",
    "LookupTableSizeV2",
    "ReadVariableOp",
    "ResourceGather",
    "ResourceGatherNd",
    "VarHandleOp",
    "VarIsInitializedOp",
}


def first_effect(
    top: function_pb2.FunctionDef, library: Mapping[str, function_pb2.FunctionDef]
) -> str | None:
    """Return an operation that changes a state or draws; None: there is none.

    Args:
      top: the function.
      library: those that it may call, by name.

    Returns:
      Its name and type.
    """
    seen: set[str] = set()
    pending = [top]
    while pending:
        for node in pending.pop().node_def:
            if node.op not in _HARMLESS and _is_stateful(node.op, library):
                return f"{node.name} ({node.op})"
            called = [node.op]
            for attribute in node.attr.values():
                called += [f.name for f in attribute.list.func]
                if attribute.WhichOneof("value") == "func":
                    called.append(attribute.func.name)
            for name in called:
                if name in library and name not in seen:
                    seen.add(name)
                    pending.append(library[name])
    return None


def _is_stateful(op: str, library: Mapping) -> bool:
    if op in library:
        return False  # Its operations are looked at.
    definition = op_definition(op)
    return definition is None or definition.is_stateful
