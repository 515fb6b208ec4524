# SPDX-License-Identifier: Apache-2.0
"""Writes the functions that an armed program calls into it, so that it can be cut."""

from tensorflow.core.framework import function_pb2

from tpufi.instrument.armed_program import ArmedProgram, is_compiled
from tpufi.instrument.extended_loops import first_of
from tpufi.instrument.function_body import Body, Call
from tpufi.instrument.splice import fault_node

_CALLS = ("PartitionedCall", "StatefulPartitionedCall")


def inlined(armed: ArmedProgram) -> tuple[function_pb2.FunctionDef, dict[int, str]]:
    """Return the program as one function, and where faults come into it.

    Only calls with sites are written out. Branches, loops and functions that XLA
    compiles stay calls. Nothing in the program may change a state: what waits for a
    call to end does not wait for it any more.

    Args:
      armed: the program.

    Returns:
      The function, and for each armed site, in the program's order, the operation where
      its faults come in: its fault op, or the operation that calls it.
    """
    made = function_pb2.FunctionDef()
    made.CopyFrom(armed.definition)
    del made.node_def[:]
    writer = _Writer(armed, made)
    writer.write(armed.definition, armed.body, "")
    for node in made.node_def:
        inputs = [writer.known_as(tensor) for tensor in node.input]
        del node.input[:]
        node.input.extend(t for t in inputs if t != "^")
    for result, tensor in list(made.ret.items()):
        made.ret[result] = writer.known_as(tensor)
    return made, {site: writer.starts[site] for site in armed.by_id}


class _Writer:
    """Writes functions into `made`, each name behind the path to its function.

    Attributes:
      starts: site -> operation, of all sites, armed or not.
    """

    def __init__(self, armed: ArmedProgram, made: function_pb2.FunctionDef):
        self._armed, self._made = armed, made
        self._same: dict[str, str] = {}  # Arguments, results of calls -> tensors.
        self._calls: set[str] = set()
        self.starts: dict[int, str] = {}

    def write(
        self, definition: function_pb2.FunctionDef, body: Body, path: str
    ) -> None:
        """Write a function."""
        for place in body.places:
            self.starts[place.site.id] = path + fault_node(place)
        calls = {call.node: call for call in body.calls}
        names = {node.name for node in definition.node_def}
        for node in definition.node_def:
            call = calls.get(node.name)
            if call is not None and self._is_written(node, call):
                self._write_call(node, call, path)
                continue
            if call is not None:
                for _, callee in call.callees:
                    for place in callee.all_places():
                        self.starts[place.site.id] = path + first_of(node.name, names)
            added = self._made.node_def.add()
            added.CopyFrom(node)
            added.name = path + node.name
            del added.input[:]
            added.input.extend(_within(path, tensor) for tensor in node.input)

    def known_as(self, tensor: str) -> str:
        """Return what an input is called in the end; `^` for a call that is gone."""
        while tensor in self._same:
            tensor = self._same[tensor]
        control = tensor.startswith("^")
        gone = control and (tensor[1:] in self._calls or tensor[1:] in self._same)
        return "^" if gone else tensor

    def _is_written(self, node, call: Call) -> bool:
        if call.op not in _CALLS:
            return False
        ((_, callee),) = call.callees
        if not any(p.site.id in self._armed.by_id for p in callee.all_places()):
            return False
        return not is_compiled(self._armed.library[node.attr["f"].func.name])

    def _write_call(self, node, call: Call, path: str) -> None:
        definition = self._armed.library[node.attr["f"].func.name]
        inner = f"{path}{node.name}/tpufi_inlined/"
        self._calls.add(path + node.name)
        given = [t for t in node.input if not t.startswith("^")]
        for argument, tensor in zip(definition.signature.input_arg, given, strict=True):
            self._same[inner + argument.name] = path + tensor
        for number, result in enumerate(definition.signature.output_arg):
            tensor = f"{path}{node.name}:output:{number}"
            self._same[tensor] = inner + definition.ret[result.name]
        self.write(definition, call.callees[0][1], inner)


def _within(path: str, tensor: str) -> str:
    return f"^{path}{tensor[1:]}" if tensor.startswith("^") else path + tensor
