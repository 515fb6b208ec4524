# SPDX-License-Identifier: Apache-2.0
"""Keys of a campaign file that tell which unit breaks, and how they are recorded."""

import re
from collections.abc import Callable, Mapping
from fractions import Fraction

from tpufi.campaign.when_keys import read_range, read_when
from tpufi.errors import InputError
from tpufi.faults.unit_model import OPERATIONS, PLACES, UnitModel
from tpufi.messages import nearest_first, quote
from tpufi.units import (
    LINK_ERRORS,
    Link,
    MemoryAddress,
    ProcessingElement,
    SavedActivation,
    Unit,
    VectorLane,
)
from tpufi.when import ALWAYS, When
from tpufi.when_text import parse_when, when_text
from tpufi.yaml_reader import Node, read_yaml

_ARRAY = re.compile(r"([0-9]{1,6})x([0-9]{1,6})/([a-z]{1,20})(?:/([a-z]{1,20}))?")
_ANY = "any"
# What leaves an element, unless a register is named.
_LEAVING = {"output": "output", "weight": "accumulator", "input": "accumulator"}
_OPTIONS = ("operation", "bit", "when", "weight")


def is_unit(node: Node) -> bool:
    """Return whether a value of `faults`, or an item of it, tells a unit."""
    return isinstance(node.value, dict) and bool(
        node.value.keys() & {*_KINDS, *_OPTIONS}
    )


def is_kind(name: str) -> bool:
    """Return whether a name, with or without what is behind its colon, is a unit's."""
    return name.partition(":")[0] in _KINDS


def named_unit(name: str, when: When | None = None) -> UnitModel:
    """Return the unit of a name such as `pe:128x128/output` or `memory:fc/*`.

    Args:
      name: a key of a campaign file, and behind a colon its value.
      when: when it is broken; None: always.

    Raises:
      InputError: there is none of that name.
    """
    kind, _, value = name.partition(":")
    usual = _ANY if kind == "lane" else "*"
    return read_unit(read_yaml({kind: value or usual}, ""), when)[0]


def read_unit(node: Node, when: When | None = None) -> tuple[UnitModel, Fraction]:
    """Return what units are drawn from, and its weight.

    Args:
      node: a mapping with one of the keys `pe`, `lane`, `memory`, `saved` and `link`.
      when: when the units are broken, unless it says so; None: always.

    Raises:
      InputError: a key or a value is wrong; the message begins with `file:line`.
    """
    nodes = node.mapping(_KINDS)
    kinds = [key for key in nodes if key in _KINDS]
    if len(kinds) != 1:
        other = next((k for k in nodes if k not in _OPTIONS), "")
        found = ", ".join(kinds) or quote(other)
        raise InputError(
            f"{node.where}: {node.key}: unit {found}; expected one of "
            f"{nearest_first(other, _KINDS)}"
        )
    (kind,) = kinds
    read, places = _KINDS[kind]
    types = {kind: read, **dict.fromkeys(places, Node.whole), **_TYPES}
    if kind == "link":
        types["chunks"] = Node.whole
    values = node.read(types)
    given = {key: values[key] for key in (*places, "chunks") if key in values}
    if kind == "link" and nodes[kind].value != "corrupted" and "operation" in values:
        raise nodes["operation"].wrong(
            f"a link that is corrupted; one that is {nodes[kind].value} does that"
        )

    def model() -> UnitModel:
        unit, fixed = values[kind](given)
        fields = PLACES[type(unit)]
        return UnitModel(
            unit,
            tuple(f for f in fields if f not in {*given, *fixed}),
            values.get("operation", ("flip",)),
            values.get("bit"),
            values.get("when", when or ALWAYS),
        )

    return node.placed(model), values.get("weight", Fraction(1))


def unit_entries(model: UnitModel) -> dict[str, object]:
    """Return what units are drawn from as plain JSON values, those of a file."""
    unit, drawn = model.unit, model.drawn
    if drawn is None:
        drawn = PLACES[type(unit)]
    fixed = {f: getattr(unit, f) for f in PLACES[type(unit)] if f not in drawn}
    match unit:
        case ProcessingElement():
            size = f"{unit.rows}x{unit.columns}"
            entries = {"pe": f"{size}/{unit.dataflow}/{unit.register}"}
        case VectorLane():
            entries = {"lane": str(fixed.pop("lane", _ANY))}
        case MemoryAddress():
            entries = {"memory": unit.tensor}
        case SavedActivation():
            entries = {"saved": unit.layer}
        case Link():
            entries = {"link": unit.error, "chunks": unit.chunks}
    entries |= fixed | {"when": when_text(model.when)}
    if model.has_bits:
        entries["operation"] = list(model.operations)
        if model.bits is not None:
            entries["bit"] = "-".join(map(str, model.bits))
    elif not isinstance(unit, Link):
        entries["operation"] = list(model.operations)
    return entries


def recorded_unit(entries: Mapping[str, object]) -> UnitModel:
    """Return what `unit_entries` told.

    Raises:
      InputError: it is nothing of that kind.
    """
    entries = dict(entries)
    when = parse_when(str(entries.pop("when", "always")))
    return read_unit(read_yaml(entries, "docs/campaigns.md"), when)[0]


# Makes a unit of further keys, and tells which of its places are given by its own.
_Make = Callable[[dict[str, int]], tuple[Unit, tuple[str, ...]]]


def _element(node: Node) -> _Make:
    text = node.value if isinstance(node.value, str) else ""
    found = _ARRAY.fullmatch(text)
    if not found:
        raise node.wrong("ROWSxCOLUMNS/DATAFLOW or ROWSxCOLUMNS/DATAFLOW/REGISTER")
    rows, columns, dataflow, register = found.groups()
    register = register or _LEAVING.get(dataflow, "weight")
    fields = int(rows), int(columns), dataflow, register
    return lambda given: (ProcessingElement(*fields, **given), ())


def _lane(node: Node) -> _Make:
    if node.value == _ANY:
        return lambda given: (VectorLane(**given), ())
    lane = node.whole()
    return lambda given: (VectorLane(lane, **given), ("lane",))


def _memory(node: Node) -> _Make:
    name = node.text("the name of a weight, slot or statistic, or a pattern")
    return lambda given: (MemoryAddress(name, **given), ())


def _saved(node: Node) -> _Make:
    name = node.text("the name of a layer, or a pattern")
    return lambda given: (SavedActivation(name, **given), ())


def _link(node: Node) -> _Make:
    error = node.one_of(LINK_ERRORS)
    return lambda given: (Link(error, **given), ())


def _operations(node: Node) -> tuple[str, ...]:
    if isinstance(node.value, list):
        return tuple(item.one_of(OPERATIONS) for item in node.items())
    return (node.one_of(OPERATIONS),)


_KINDS = {
    "pe": (_element, ("row", "column")),
    "lane": (_lane, ("sublane",)),
    "memory": (_memory, ("index",)),
    "saved": (_saved, ("element",)),
    "link": (_link, ("chunk",)),
}
_TYPES = {
    "operation": _operations,
    "bit": read_range,
    "when": read_when,
    "weight": lambda node: node.number(above_0=True),
}
