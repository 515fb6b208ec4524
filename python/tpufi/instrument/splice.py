# SPDX-License-Identifier: Apache-2.0
"""Puts fault ops behind chosen operations of a tree of functions.

Every function on the way to a chosen operation gets three more arguments (the context,
the faults and their words) and one more result, the record. The context is what the
fault op compares with a row's replica: the replica, plus the loop iterations that the
program is in (`tpufi.instrument.context`).
"""

import dataclasses
from collections.abc import Mapping, Set

from tensorflow.core.framework import function_pb2

from tpufi import ops as _ops  # noqa: F401  Registers the fault op, named below.
from tpufi.instrument import extended_calls, extended_loops
from tpufi.instrument.added_values import (
    ARGUMENTS,
    CONTEXT,
    FAULTS,
    RECORD,
    RECORD_TYPE,
    WORDS,
)
from tpufi.instrument.function_body import LOOPS, Body, Call, Place
from tpufi.instrument.guards import guarded
from tpufi.instrument.nodes import add_node, constant, tensor_attr, type_attr
from tpufi.instrument.options import Options

NO_SITE = (1 << 31) - 1  # An id that no row names; its record is all zeros.
SIZE_OF = 1 << 30  # Added to a site's id: the site of its number of elements.
RANGE_OF = 1 << 29  # The same: that of its smallest and its largest value.
_BOOL, _FAULT = "bool", "Tpufi>InjectFault"


class Splicer:
    """Makes the functions of an armed program.

    Args:
      chosen: ids of the sites to arm.
      options: how.
      library: the program's functions by name.

    Attributes:
      functions: the changed functions; those without a chosen site are not among them.
    """

    def __init__(
        self,
        chosen: Set[int],
        options: Options,
        library: Mapping[str, function_pb2.FunctionDef],
    ):
        self._chosen = chosen
        self._library = library
        self._options = options
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
        renamed, records = {}, []
        chosen = [p for p in body.places if p.site.id in self._chosen]
        for place in (p for p in chosen if p.reader is None):
            renamed[place.tensor], added = self._add_site(definition, place)
            records += added
        for node in originals:
            for i, name in enumerate(node.input):
                node.input[i] = renamed.get(name, name)
        for place in (p for p in chosen if p.reader is not None):
            read = nodes[place.node].input
            here = dataclasses.replace(place, tensor=read[place.reader])
            read[place.reader], added = self._add_site(definition, here)
            records += added
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
            place.site.id in self._chosen
            for _, callee in callees
            for place in callee.all_places()
        )

    def no_record(self, definition: function_pb2.FunctionDef, name: str) -> str:
        """Add an op whose record is zeros; return the name of the record."""
        zero = add_node(
            definition, f"{name}/zero", "Const", (), dtype=type_attr("int32")
        )
        zero.attr["value"].CopyFrom(tensor_attr(0, "int32"))
        return self._fault(definition, name, f"{zero.name}:output:0", "int32", NO_SITE)

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
        record = extended_loops.extend(definition, node, body, condition, self)
        self.functions.append(
            extended_loops.own_condition(self._library[node.attr["cond"].func.name])
            if condition is None
            else extended_loops.carried_condition(body)
        )
        self.functions[-1].signature.name += f"_tpufi_{len(self.functions)}"
        node.attr["cond"].func.name = self.functions[-1].signature.name
        return record

    def _add_site(self, definition, place: Place) -> tuple[str, list[str]]:
        """Return the guarded value behind a site, and the records of what is there."""
        faulty, records = self._faulty(definition, place)
        return guarded(definition, place, faulty, self._options), records

    def _faulty(self, definition, place: Place) -> tuple[str, list[str]]:
        if self._options.ranges:
            is_float = "float" in place.site.dtype
            records = [self._add_range(definition, place)] if is_float else []
            return place.tensor, records
        faulty, record = self._add_fault(definition, place)
        if place.site.size is not None:
            return faulty, [record]
        return faulty, [record, self._add_size(definition, place)]

    def _add_fault(self, definition, place: Place) -> tuple[str, str]:
        name = fault_node(place)
        if place.site.dtype != _BOOL:
            record = self._fault(
                definition, name, place.tensor, place.site.dtype, place.site.id
            )
            return f"{name}:y:0", record
        wide = f"{name}/wide"
        types = {"SrcT": type_attr("bool"), "DstT": type_attr("uint8")}
        add_node(definition, wide, "Cast", (place.tensor,), **types)
        record = self._fault(definition, name, f"{wide}:y:0", "uint8", place.site.id)
        types = {"SrcT": type_attr("uint8"), "DstT": type_attr("bool")}
        add_node(definition, f"{name}/narrow", "Cast", (f"{name}:y:0",), **types)
        return f"{name}/narrow:y:0", record

    def _add_size(self, definition, place: Place) -> str:
        """Make the number of elements a site too, so that a record can tell it."""
        name = f"{place.node}/tpufi_size_{place.tag}"
        types = {"T": type_attr(place.site.dtype), "out_type": type_attr("int64")}
        add_node(definition, name, "Size", (place.tensor,), **types)
        site = SIZE_OF + place.site.id
        return self._fault(
            definition, f"{name}/read", f"{name}:output:0", "int64", site
        )

    def _add_range(self, definition, place: Place) -> str:
        """Make the smallest and the largest value a site."""
        name = f"{place.node}/tpufi_range_{place.tag}"
        kind, index = {"T": type_attr(place.site.dtype)}, type_attr("int32")
        add_node(definition, f"{name}/rank", "Rank", (place.tensor,), **kind)
        first, step = (constant(definition, f"{name}/{n}", n, "int32") for n in (0, 1))
        axes = first, f"{name}/rank:output:0", step
        add_node(definition, f"{name}/axes", "Range", axes, Tidx=index)
        ends = []
        for op in ("Min", "Max"):
            given = place.tensor, f"{name}/axes:output:0"
            add_node(definition, f"{name}/{op}", op, given, Tidx=index, **kind)
            ends.append(f"{name}/{op}:output:0")
        add_node(definition, name, "Pack", ends, **kind).attr["N"].i = len(ends)
        site, dtype = RANGE_OF + place.site.id, place.site.dtype
        return self._fault(definition, f"{name}/read", f"{name}:output:0", dtype, site)

    def _fault(self, definition, name: str, x: str, dtype: str, site: int) -> str:
        node = add_node(
            definition,
            name,
            _FAULT,
            (x, CONTEXT, FAULTS, WORDS),
            T=type_attr(dtype),
            R=type_attr("int64"),
        )
        node.attr["site"].i = site
        node.attr["perm"].list.SetInParent()
        node.attr["noted"].i = -1
        node.attr["gradient"].s = self._options.gradient.encode()
        node.attr["confines"].b = False
        return f"{name}:record:0"

    def _add_record(self, definition, records: list[str]) -> None:
        """Return the sum of all records: at most one of them has a count in a row."""
        if not records:
            records = [self.no_record(definition, "tpufi_no_record")]
        name = "tpufi_sum_of_records"
        total = add_node(definition, name, "AddN", records, T=type_attr("int64"))
        total.attr["N"].i = len(records)
        definition.signature.output_arg.add(name=RECORD, type=RECORD_TYPE)
        definition.ret[RECORD] = f"{name}:sum:0"


def fault_node(place: Place) -> str:
    """Return the name of the fault op behind a site."""
    return f"{place.node}/tpufi_fault_{place.tag}"


def _add_arguments(definition: function_pb2.FunctionDef) -> None:
    for name, kind, _ in ARGUMENTS:
        definition.signature.input_arg.add(name=name, type=kind)
    # Lists of shapes as long as the old argument list would be wrong now.
    definition.attr.pop("_input_shapes", None)


def _forget_alternatives(definition: function_pb2.FunctionDef) -> None:
    """Keep TensorFlow from swapping the function for one without faults."""
    for name in ("api_implements", "_implements", "api_preferred_device"):
        definition.attr.pop(name, None)
