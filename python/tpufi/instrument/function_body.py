# SPDX-License-Identifier: Apache-2.0
"""The tree of functions that a program calls, with every place for a fault.

A function that is called twice appears twice, so that each call has separate sites.
"""

import dataclasses
import re
from collections import Counter, defaultdict
from collections.abc import Mapping

import tensorflow as tf
from tensorflow.core.framework import function_pb2, node_def_pb2

from tpufi.element import ELEMENTS
from tpufi.instrument.directions import directions_of
from tpufi.instrument.graph_site import GraphSite
from tpufi.instrument.macs import is_weight, macs_of, operands_of
from tpufi.instrument.products import multiplies
from tpufi.instrument.site_ids import SiteIds, Step
from tpufi.instrument.traced_program import TracedProgram

# Attributes of operations that call functions, in the order in which they are visited.
CALLS = {
    "PartitionedCall": ("f",),
    "StatefulPartitionedCall": ("f",),
    "While": ("cond", "body"),
    "StatelessWhile": ("cond", "body"),
    "If": ("then_branch", "else_branch"),
    "StatelessIf": ("then_branch", "else_branch"),
    "Case": ("branches",),
    "StatelessCase": ("branches",),
}
LOOPS = ("While", "StatelessWhile")
DEEPEST_LOOP = 3  # A fault's context counts the iterations of so many nested loops.
_NO_VALUE = {"Placeholder", "PlaceholderWithDefault", "NoOp"}
_DEEPEST_CALL = 50
# A trace numbers its functions, and a tape makes `inference` `forward`.
_FUNCTION = re.compile(r"__(?:inference|forward)_(.+)_\d+|(.+?)_\d+|(.+)")


@dataclasses.dataclass(frozen=True)
class Place:
    """A site inside a function.

    Args:
      site: the site.
      node: name of its operation in the function.
      tensor: how the function's operations name the output, `node:output:i`.
      reader: the number of the operation's input that alone has the fault; None: all
        that read the tensor have it.
    """

    site: GraphSite
    node: str
    tensor: str
    reader: int | None = None

    @property
    def tag(self) -> str:
        """What tells it from other sites of its operation."""
        read = self.reader is not None
        return f"in{self.reader}" if read else str(self.site.output)


@dataclasses.dataclass(frozen=True)
class Call:
    """An operation that calls functions: (attribute, function) of each."""

    node: str
    op: str
    callees: "tuple[tuple[str, Body], ...]"


@dataclasses.dataclass(frozen=True)
class Body:
    """One function, at one place where it is called."""

    definition: function_pb2.FunctionDef
    places: tuple[Place, ...]
    calls: tuple[Call, ...]

    def all_places(self) -> tuple[Place, ...]:
        """Return the places here and in all functions called from here."""
        below = (
            place
            for call in self.calls
            for _, callee in call.callees
            for place in callee.all_places()
        )
        return (*self.places, *below)


class Survey:
    """Walks a program and finds its sites.

    Args:
      program: the traced program.
      ids: numbers and names the sites.
      operands: whether what a multiplication reads is a site too.

    Attributes:
      body: the program's own function, at the root of the tree.
      sites: all sites, in the order of the walk.
      skipped: operations that cannot carry faults, as (name, reason).
      products: operations that multiply, and the sites of their results; but for those
        of which nothing depends, which TensorFlow does not compute.
      no_products: operations that multiply, or may call what does, and have no site,
        as (name, reason).
      ids: as given.
    """

    def __init__(self, program: TracedProgram, ids: SiteIds, operands: bool = False):
        self._program, self._operands = program, operands
        self._ordinals: Counter[str] = Counter()
        self.ids = ids
        self.sites: list[GraphSite] = []
        self.skipped: list[tuple[str, str]] = []
        self.products: list[tuple[tf.Operation, GraphSite]] = []
        self.no_products: list[tuple[str, str]] = []
        self.body = self._walk(program.definition, program.graph, (), "", "forward", 0)

    def _walk(self, definition, graph, way, prefix, direction, loops) -> Body:
        names = self._program.flat_names(definition)
        directions = directions_of(definition, direction)
        v1 = in_v1_control_flow(definition)
        operations = {op.name: op for op in graph.get_operations()}
        read = _read(definition, operations)
        called: Counter[str] = Counter()
        places, calls = [], []
        for node in definition.node_def:
            if node.op in CALLS and len(way) < _DEEPEST_CALL:
                inner = directions[node.name]
                calls.append(self._call(node, way, called, prefix, inner, loops))
                continue
            wanted = _joined(prefix, node.name)
            path = self.ids.path(way, node.name, node.op, wanted)
            reason = self._unfit(node, operations.get(node.name), v1, loops)
            if reason is not None:
                self.skipped.append((path, reason))
                if multiplies(node.op) or _runs_functions(node):
                    self.no_products.append((path, reason))
                continue
            if node.op in _NO_VALUE:
                continue
            strange = _strange_types(operations[node.name])
            if strange:
                self.skipped.append((path, f"elements of type {', '.join(strange)}"))
                if multiplies(node.op):
                    self.no_products.append(self.skipped[-1])
            self._ordinals[node.op] += 1
            operation = operations[node.name]
            found = [
                (tensor, tensor.value_index, names.get(tensor.name), None)
                for tensor in operation.outputs
            ]
            if self._operands:
                found += [
                    (operation.inputs[i], f"in{i}", node.input[i], i)
                    for i in operands_of(operation)
                ]
            for tensor, which, nested, reader in found:
                if nested is None or not _carries_faults(node, tensor, nested):
                    continue
                site = GraphSite(
                    id=self.ids.number(path, which),
                    name=f"{path}:{which}",
                    op=node.op,
                    ordinal=self._ordinals[node.op],
                    layer=_layer(path),
                    direction=directions[node.name],
                    output=tensor.value_index if reader is None else 0,
                    dtype=tensor.dtype.base_dtype.name,
                    shape=_dims(tensor.shape),
                    loops=loops,
                    operand=_operand(operation, reader),
                    macs=macs_of(operation),
                )
                self.sites.append(site)
                if which == 0 and multiplies(node.op) and node.name in read:
                    self.products.append((operation, site))
                places.append(Place(site, node.name, nested, reader))
        return Body(definition, tuple(places), tuple(calls))

    def _call(
        self, node: node_def_pb2.NodeDef, way, called, prefix, direction, loops
    ) -> Call:
        callees = []
        inner_loops = loops + (node.op in LOOPS)
        for attribute in CALLS[node.op]:
            value = node.attr[attribute]
            functions = value.list.func if attribute == "branches" else [value.func]
            for number, function in enumerate(functions):
                step = Step(node.name, attribute, number)
                path = f"{prefix}{node.name}:{attribute}/"
                if "Call" in node.op:
                    name = _name_of_function(function.name)
                    step, path = Step(name, "", called[name]), prefix
                    called[name] += 1
                callee = self._walk(
                    self._program.library[function.name],
                    self._program.body(function.name),
                    (*way, step),
                    path,
                    direction,
                    inner_loops,
                )
                callees.append((attribute, callee))
        return Call(node.name, node.op, tuple(callees))

    def _unfit(self, node, operation, v1: set[str], loops: int) -> str | None:
        if operation is None:
            return "TensorFlow does not show its outputs"
        if node.name in v1:
            return "inside control flow of TensorFlow 1 (Switch, Enter)"
        if loops > DEEPEST_LOOP:
            return f"inside more than {DEEPEST_LOOP} nested loops"
        if _runs_functions(node):
            return f"{node.op} runs a separate function"
        return None


def _read(
    definition: function_pb2.FunctionDef, operations: Mapping[str, tf.Operation]
) -> set[str]:
    """Return the names of the operations that results or state depend on."""
    nodes = {node.name: node for node in definition.node_def}
    pending = [*definition.ret.values(), *definition.control_ret.values()]
    pending += [name for name in nodes if _is_stateful(operations.get(name))]
    found: set[str] = set()
    while pending:
        name = pending.pop().removeprefix("^").split(":")[0]
        if name in nodes and name not in found:
            found.add(name)
            pending += nodes[name].input
    return found


def _is_stateful(operation: tf.Operation | None) -> bool:
    return operation is None or operation.op_def.is_stateful


def _runs_functions(node: node_def_pb2.NodeDef) -> bool:
    return any("func" in a.WhichOneof("value") for a in node.attr.values())


def _operand(operation: tf.Operation, reader: int | None) -> str:
    if reader is None:
        return "weight" if operation.type == "ReadVariableOp" else "output"
    return "weight" if is_weight(operation, reader) else "input"


def _joined(prefix: str, name: str) -> str:
    """Return the name of an operation behind the path to its function."""
    scope, _, kind = prefix.rpartition(":")
    if scope and name.startswith(f"{scope}/"):
        # Only a condition needs to be told from the loop's body.
        return prefix + name[len(scope) + 1 :] if kind == "cond/" else name
    return prefix + name


def _name_of_function(name: str) -> str:
    """Return the name that a function has in every trace."""
    groups = _FUNCTION.fullmatch(name).groups()
    return next(group for group in groups if group)


def _strange_types(operation: tf.Operation) -> list[str]:
    """Return the types of its values for which faults are not defined."""
    types = {tensor.dtype.base_dtype for tensor in operation.outputs}
    no_values = {tf.resource, tf.variant, tf.bool}
    return sorted(t.name for t in types - no_values if t.name not in ELEMENTS)


def _carries_faults(node, tensor: tf.Tensor, nested: str) -> bool:
    dtype = tensor.dtype
    if dtype._is_ref_dtype:  # noqa: SLF001
        return False
    if dtype.name not in ELEMENTS and dtype != tf.bool:
        return False
    # Integers of a constant are axes and sizes, which compilers have to know.
    if node.op == "Const" and not dtype.is_floating:
        return False
    # What a kernel keeps for its own gradient has no known layout.
    return ":reserve_space" not in nested


def _layer(path: str) -> str:
    scope = path.rpartition("/")[0]
    return scope.removeprefix("gradient_tape/")


def _dims(shape: tf.TensorShape) -> tuple[int | None, ...] | None:
    return None if shape.rank is None else tuple(shape.as_list())


_REGIONS = (
    ({"Enter", "RefEnter"}, {"Exit", "RefExit"}),
    ({"Switch", "RefSwitch"}, {"Merge", "RefMerge", "Exit", "RefExit"}),
)


def in_v1_control_flow(definition: function_pb2.FunctionDef) -> set[str]:
    """Return the names of such operations, with those that open a region."""
    nodes = {node.name: node for node in definition.node_def}
    consumers = defaultdict(list)
    for node in definition.node_def:
        for name in node.input:
            consumers[name.removeprefix("^").split(":")[0]].append(node.name)
    inside: set[str] = set()
    for opening, closing in _REGIONS:
        region = {name for name, node in nodes.items() if node.op in opening}
        pending = list(region)
        while pending:
            for consumer in consumers[pending.pop()]:
                if consumer not in region and nodes[consumer].op not in closing:
                    region.add(consumer)
                    pending.append(consumer)
        inside |= region
    return inside
