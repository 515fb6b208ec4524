# SPDX-License-Identifier: Apache-2.0
"""Puts operations behind chosen ones of a tree of functions, to make them faulty.

Every function on the way to a chosen operation gets three more arguments (the context,
the faults and their words) and one more result, the record. The context is what the
fault op compares with a row's replica: the replica, plus the loop iterations that the
program is in (`tpufi.instrument.context`).
"""

import abc
import dataclasses
from collections.abc import Mapping, Set
from typing import NamedTuple

from tensorflow.core.framework import function_pb2, node_def_pb2

from tpufi.instrument import extended_calls, extended_loops
from tpufi.instrument.added_values import (
    ARGUMENTS,
    RECORD,
    RECORD_TYPE,
)
from tpufi.instrument.function_body import LOOPS, Body, Call, Place
from tpufi.instrument.nodes import add_node, type_attr


class Added(NamedTuple):
    """What was put at a place.

    Fields:
      value: name of the tensor that is read instead of the one there.
      records: names of the records of what was injected there.
      reader: an added operation that reads more than this tensor; None: there is none.
    """

    value: str
    records: list[str]
    reader: node_def_pb2.NodeDef | None = None


class PlaceOps(abc.ABC):
    """Operations that make the values at places faulty.

    Attributes:
      chosen: ids of the sites whose places get some.
    """

    chosen: Set[int]

    @property
    def library(self) -> Mapping[str, function_pb2.FunctionDef]:
        """The functions that they call, by name."""
        return {}

    def place(self, place: Place) -> Place:
        """Return where to put operations for a place: behind it, unless overridden."""
        return place

    @abc.abstractmethod
    def add(
        self,
        definition: function_pb2.FunctionDef,
        node: node_def_pb2.NodeDef,
        place: Place,
    ) -> Added:
        """Add the operations of a place.

        Args:
          definition: the function; changed in place.
          node: the operation of the place.
          place: where.
        """

    @abc.abstractmethod
    def no_record(self, definition: function_pb2.FunctionDef, name: str) -> str:
        """Add a record that is zeros; return the name of the tensor."""


class Splicer:
    """Makes the functions of an armed program.

    Args:
      ops: what is put at places.
      library: the program's functions by name.

    Attributes:
      functions: the changed functions; those without a chosen site are not among them.
    """

    def __init__(self, ops: PlaceOps, library: Mapping[str, function_pb2.FunctionDef]):
        self._ops, self._library = ops, library
        self.functions: list[function_pb2.FunctionDef] = []

    def splice(self, body: Body) -> str:
        """Change a function and all that it calls; return the new function's name."""
        definition = function_pb2.FunctionDef()
        definition.CopyFrom(body.definition)
        definition.signature.name += f"_tpufi_{len(self.functions)}"
        _forget_alternatives(definition)
        self.functions.append(definition)
        _add_arguments(definition)
        nodes = {node.name: node for node in definition.node_def}
        originals = list(nodes.values())
        renamed, records, readers = {}, [], []
        chosen = [
            self._ops.place(p) for p in body.places if p.site.id in self._ops.chosen
        ]
        for place in (p for p in chosen if p.reader is None):
            added = self._ops.add(definition, nodes[place.node], place)
            renamed[place.tensor] = added.value
            records += added.records
            if added.reader is not None:
                readers.append((added.reader, place.tensor))
        for node, own in (*((node, None) for node in originals), *readers):
            for i, name in enumerate(node.input):
                if name != own:
                    node.input[i] = renamed.get(name, name)
        for place in (p for p in chosen if p.reader is not None):
            read = nodes[place.node].input
            here = dataclasses.replace(place, tensor=read[place.reader])
            added = self._ops.add(definition, nodes[place.node], here)
            read[place.reader] = added.value
            records += added.records
        for result, name in list(definition.ret.items()):
            definition.ret[result] = renamed.get(name, name)
        for call in body.calls:
            if self.arms(call.callees):
                node = nodes[call.node]
                extend = self._extend_loop if call.op in LOOPS else self._extend_call
                records.append(extend(definition, node, call))
        self._add_record(definition, records)
        return definition.signature.name

    def arms(self, callees: tuple[tuple[str, Body], ...]) -> bool:
        """Whether any of these functions holds a chosen site."""
        return any(
            place.site.id in self._ops.chosen
            for _, callee in callees
            for place in callee.all_places()
        )

    def _extend_call(self, definition, node, call: Call) -> str:
        """Make a call or a branch run changed functions; return its record's name."""
        names = [(kind, self.splice(callee)) for kind, callee in call.callees]
        return extended_calls.extend(node, names)

    def _extend_loop(self, definition, node, call: Call) -> str:
        """Make a loop run a changed body; return its record's name.

        Without a site in the condition, it only has to take what the loop carries.
        """
        callees = dict(call.callees)
        name = self.splice(callees["body"])
        (body,) = (f for f in self.functions if f.signature.name == name)
        condition = None
        if self.arms((("cond", callees["cond"]),)):
            condition = self.splice(callees["cond"])
        record = extended_loops.extend(definition, node, body, condition, self._ops)
        self.functions.append(
            extended_loops.own_condition(self._library[node.attr["cond"].func.name])
            if condition is None
            else extended_loops.carried_condition(body)
        )
        self.functions[-1].signature.name += f"_tpufi_{len(self.functions)}"
        node.attr["cond"].func.name = self.functions[-1].signature.name
        return record

    def _add_record(self, definition, records: list[str]) -> None:
        """Return the sum of all records: at most one of them has a count in a row."""
        if not records:
            records = [self._ops.no_record(definition, "tpufi_no_record")]
        name = "tpufi_sum_of_records"
        total = add_node(definition, name, "AddN", records, T=type_attr("int64"))
        total.attr["N"].i = len(records)
        definition.signature.output_arg.add(name=RECORD, type=RECORD_TYPE)
        definition.ret[RECORD] = f"{name}:sum:0"


def _add_arguments(definition: function_pb2.FunctionDef) -> None:
    for name, kind, _ in ARGUMENTS:
        definition.signature.input_arg.add(name=name, type=kind)
    # Lists of shapes as long as the old argument list would be wrong now.
    definition.attr.pop("_input_shapes", None)


def _forget_alternatives(definition: function_pb2.FunctionDef) -> None:
    """Keep TensorFlow from swapping the function for one without faults."""
    for name in ("api_implements", "_implements", "api_preferred_device"):
        definition.attr.pop(name, None)
