# SPDX-License-Identifier: Apache-2.0
"""Fault ops behind the sites of a program, or in front of what reads them."""

from collections.abc import Set

from tensorflow.core.framework import function_pb2

from tpufi import ops as _ops  # noqa: F401  Registers the fault op, named below.
from tpufi.instrument.added_values import CONTEXT, FAULTS, WORDS
from tpufi.instrument.function_body import Place
from tpufi.instrument.guards import guarded
from tpufi.instrument.nodes import add_node, constant, tensor_attr, type_attr
from tpufi.instrument.options import Options
from tpufi.instrument.splice import Added, PlaceOps

NO_SITE = (1 << 31) - 1  # An id that no row names; its record is all zeros.
SIZE_OF = 1 << 30  # Added to a site's id: the site of its number of elements.
RANGE_OF = 1 << 29  # The same: that of its smallest and its largest value.
_BOOL, _FAULT = "bool", "Tpufi>InjectFault"


class SiteOps(PlaceOps):
    """Ops that inject the faults of a descriptor.

    Args:
      chosen: ids of the sites to arm.
      options: how.
    """

    def __init__(self, chosen: Set[int], options: Options):
        self.chosen, self._options = chosen, options

    def add(self, definition: function_pb2.FunctionDef, node, place: Place) -> Added:
        faulty, records = self._faulty(definition, place)
        return Added(guarded(definition, place, faulty, self._options), records)

    def no_record(self, definition: function_pb2.FunctionDef, name: str) -> str:
        zero = add_node(
            definition, f"{name}/zero", "Const", (), dtype=type_attr("int32")
        )
        zero.attr["value"].CopyFrom(tensor_attr(0, "int32"))
        return self._fault(definition, name, f"{zero.name}:output:0", "int32", NO_SITE)

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


def fault_node(place: Place) -> str:
    """Return the name of the fault op behind a site."""
    return f"{place.node}/tpufi_fault_{place.tag}"
